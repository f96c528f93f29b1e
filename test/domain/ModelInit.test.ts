import { assert, describe, it } from "@effect/vitest"
import * as ModelInit from "../../src/domain/ModelInit.ts"
import * as ModelTensors from "../../src/domain/ModelTensors.ts"
import * as Vocabulary from "../../src/domain/world/Vocabulary.ts"
import * as WorldModel from "../../src/domain/world/WorldModel.ts"

const config = WorldModel.config({ vocabulary: Vocabulary.world, hiddenSize: 64, layers: 2, heads: 4 })

const deviation = (values: Float32Array): number =>
  Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length)

describe("ModelInit", () => {
  const made = ModelInit.weights(config, "a")
  const weights = [...made]

  it("makes every weight of the model, in order and shape", () => {
    assert.deepStrictEqual(weights.map(({ name, shape }) => ({ name, shape })), [...ModelTensors.tensors(config)])
    for (const { data, shape } of weights) assert.strictEqual(data.length, ModelTensors.elements(shape))
  })

  it("draws embeddings normally, matrices uniformly by their inputs, and begins norms with 1", () => {
    for (const { data, name, shape } of weights) {
      if (name.endsWith("norm.weight")) assert.isTrue(data.every((value) => value === 1))
      else if (name === ModelTensors.embedding) {
        assert.closeTo(deviation(data), 0.05, 0.002)
        assert.isAbove(Math.max(...data), 0.15)
      } else {
        const bound = 1 / Math.sqrt(shape[1] ?? 0)
        assert.isTrue(data.every((value) => Math.abs(value) <= bound))
        assert.closeTo(deviation(data), bound / Math.sqrt(3), 0.1 * bound)
      }
    }
  })

  it("gives a seed its own weights, and each weight its own numbers", () => {
    assert.deepStrictEqual([...made], weights)
    assert.deepStrictEqual([...ModelInit.weights(config, "a")], weights)
    assert.notDeepEqual([...ModelInit.weights(config, "b")], weights)
    const [query, key] = ["q_proj", "k_proj"].map((name) => weights.find((weight) => weight.name.includes(name))?.data)
    assert.notDeepEqual(query, key)
  })
})
