import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as tf from "@tensorflow/tfjs-core"
import { Effect } from "effect"
import { embedding, outputHead } from "../../../../src/domain/ModelTensors.ts"
import { whole } from "../../../../src/layers/device/pieces.ts"
import * as Weights from "../../../../src/layers/model/Weights.ts"
import { Gradients } from "../../../../src/layers/policy/engine/Gradients.ts"
import * as Network from "../../../../src/layers/policy/engine/Network.ts"
import { packedForward } from "../../../../src/layers/policy/engine/Packed.ts"
import { predict, predictBackward, scatter } from "../../../../src/layers/policy/engine/Predictions.ts"
import { Device } from "../../../../src/services/Device.ts"
import { allClose, devices, golden, model, noModels } from "./fixtures.ts"

interface HuggingFaceGolden {
  readonly cases: ReadonlyArray<{
    readonly prompt: ReadonlyArray<number>
    readonly lastLogits: ReadonlyArray<number>
    readonly tokenLogprobs: ReadonlyArray<number>
    readonly entropy: ReadonlyArray<number>
    readonly greedy: ReadonlyArray<number>
  }>
  readonly gradient: {
    readonly case: number
    readonly loss: number
    readonly norms: Readonly<Record<string, number>>
    readonly total: number
  }
}

const load = Effect.fnUntraced(function*(name: string) {
  const weights = yield* Weights.read(model(name))
  return yield* Network.make(weights.config, weights.tensors)
})

for (const device of devices) {
  describe.skipIf(noModels !== undefined || device.absent !== undefined)(`the transformer on ${device.name}`, () => {
    // Plain JavaScript takes seconds for each.
    for (const name of device.name === "DeviceCpu" ? ["hf/qwen3"] : ["hf/qwen2", "hf/qwen3", "hf/llama3"]) {
      it.effect(`computes what transformers computes: ${name}`, () =>
        Effect.gen(function*() {
          const { run } = yield* Device
          const network = yield* load(name)
          const { cases } = golden<HuggingFaceGolden>(name)
          const head = network.parameters.get(network.config.tieWordEmbeddings ? embedding : outputHead)
          // The sequences packed together must not see each other.
          const ids = Int32Array.from(cases.flatMap((c) => c.prompt))
          const ends = cases.map((_, i) => cases.slice(0, i + 1).reduce((sum, c) => sum + c.prompt.length, 0))
          const cuSeqlens = Int32Array.of(0, ...ends)
          const found = yield* run(() => {
            const { result, selection } = whole(predict(network, { ids, cuSeqlens }, 1, "nothing"))
            const { hidden } = whole(packedForward(network, ids, cuSeqlens, "nothing"))
            const last = tf.matMul(
              tf.gather(hidden, tf.tensor1d(ends.map((end) => end - 1), "int32")),
              head,
              false,
              true
            )
            return {
              last: last.dataSync(),
              logProbs: scatter(selection, result.logProb.dataSync(), ids.length),
              entropy: scatter(selection, result.entropy.dataSync(), ids.length)
            }
          })
          cases.forEach((c, i) => {
            const begin = cuSeqlens[i]! + 1
            const vocabulary = c.lastLogits.length
            allClose(found.last.slice(i * vocabulary, (i + 1) * vocabulary), c.lastLogits, 1e-3, `case ${i}: logits`)
            allClose(found.logProbs.slice(begin, ends[i]), c.tokenLogprobs, 1e-3, `case ${i}: log-probabilities`)
            allClose(found.entropy.slice(begin, ends[i]), c.entropy, 1e-3, `case ${i}: entropy`)
          })
        }).pipe(Effect.provide([device.layer, NodeServices.layer])))

      for (const [keep, atOnce] of [["everything", 1 << 20], ["inputs", 5]] as const) {
        it.effect(`has the gradient of every parameter, keeping ${keep}, ${atOnce} rows of the head at once: ${name}`, () =>
          Effect.gen(function*() {
            const { memory, run } = yield* Device
            const network = yield* load(name)
            const { cases, gradient } = golden<HuggingFaceGolden>(name)
            const ids = Int32Array.from(cases[gradient.case]!.prompt)
            const count = ids.length - 1
            const before = yield* memory
            const found = yield* run(() => {
              const gradients = new Gradients()
              const predicted = whole(
                predict(network, { ids, cuSeqlens: Int32Array.of(0, ids.length) }, 1, keep, atOnce)
              )
              const loss = -Array.from(predicted.result.logProb.dataSync()).slice(0, count).reduce((sum, lp) =>
                sum + lp, 0) / count
              const none = new Float32Array(ids.length)
              whole(
                predictBackward(
                  network,
                  predicted,
                  new Float32Array(ids.length).fill(-1 / count),
                  none,
                  1,
                  gradients.add,
                  atOnce
                )
              )
              const norms = new Map([...gradients.squares()].map(([k, v]) => [k, Math.sqrt(v.dataSync()[0]!)]))
              const total = Math.sqrt(gradients.sumSquares().dataSync()[0]!)
              gradients.dispose()
              return { loss, norms, total }
            })
            assert.closeTo(found.loss, gradient.loss, 1e-4)
            assert.closeTo(found.total / gradient.total, 1, 1e-3)
            assert.deepStrictEqual([...found.norms.keys()].sort(), Object.keys(gradient.norms).sort())
            for (const [parameter, norm] of Object.entries(gradient.norms)) {
              assert.closeTo(found.norms.get(parameter)! / norm, 1, 1e-3, parameter)
            }
            assert.deepStrictEqual(yield* memory, before)
          }).pipe(Effect.provide([device.layer, NodeServices.layer])))
      }
    }
  })
}
