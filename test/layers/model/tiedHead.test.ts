import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Logger, Path, type Scope, Stream } from "effect"
import * as ModelTensors from "../../../src/domain/ModelTensors.ts"
import * as HuggingFaceModel from "../../../src/layers/model/HuggingFaceModel.ts"
import type { ModelLoadError } from "../../../src/layers/model/ModelFileErrors.ts"
import * as Weights from "../../../src/layers/model/Weights.ts"
import { configText, editSafetensors, numbersOf, savedModel, smallConfig } from "./modelFiles.ts"

const { embedding, outputHead } = ModelTensors

const test = <E>(effect: Effect.Effect<void, E, FileSystem.FileSystem | Path.Path | Scope.Scope>) =>
  effect.pipe(Effect.provide(NodeServices.layer))

const copyOfEmbedding = (spec: ModelTensors.TensorSpec): Float32Array =>
  numbersOf(spec.name === outputHead ? { ...spec, name: embedding } : spec)

/** A folder that holds a head beside its embedding and a configuration that ties them. */
const tiedFolder = Effect.fnUntraced(function*(
  head: (copy: Float32Array) => Float32Array,
  options: Partial<Weights.SaveOptions<never, never>> = {}
) {
  const fs = yield* FileSystem.FileSystem
  const { join } = yield* Path.Path
  const directory = yield* savedModel({
    read: (spec) => Effect.succeed(spec.name === outputHead ? head(copyOfEmbedding(spec)) : numbersOf(spec)),
    ...options
  })
  yield* fs.writeFileString(join(directory, "config.json"), configText(smallConfig({ tie_word_embeddings: true })))
  return directory
})

/** What is read of a folder, and what is said meanwhile. */
const loaded = Effect.fnUntraced(function*(directory: string): Effect.fn.Return<
  { readonly config: Weights.Weights["config"]; readonly head: Float32Array | undefined; readonly said: string },
  ModelLoadError,
  FileSystem.FileSystem | Path.Path
> {
  const said: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => said.push(`${logLevel} ${String(message)}`))
  const { config, tensors } = yield* Weights.read(directory).pipe(Effect.provide(Logger.layer([logger])))
  const all = yield* Stream.runCollect(tensors)
  assert.deepStrictEqual(all.map(({ name }) => name), ModelTensors.tensors(config).map(({ name }) => name))
  return { config, head: all.find(({ name }) => name === outputHead)?.data, said: said.join("\n") }
})

const otherLast = (copy: Float32Array): Float32Array => copy.with(copy.length - 1, 0.75)

describe("a head in a checkpoint whose configuration ties it to the embedding", () => {
  for (const precision of ["float32", "float16", "bfloat16"] as const) {
    it.effect(`is read where one number of it differs, and said, in ${precision}`, () =>
      test(Effect.gen(function*() {
        const { join } = yield* Path.Path
        const directory = yield* tiedFolder(otherLast, { precision })
        const { config, head, said } = yield* loaded(directory)
        assert.isFalse(config.tieWordEmbeddings)
        assert.strictEqual(head?.at(-1), 0.75)
        assert.include(
          said,
          `Warn ${join(directory, "model.safetensors")}: lm_head.weight differs from model.embed_tokens`
        )
        assert.include(said, `"tie_word_embeddings": true`)
        const untied = ModelTensors.parameterCount(smallConfig())
        assert.strictEqual(ModelTensors.parameterCount(config), untied)
        assert.strictEqual(ModelTensors.parameterCount(yield* HuggingFaceModel.readShape(directory)), untied)
      })))

    it.effect(`is a copy without a word where all numbers are equal, in ${precision}`, () =>
      test(Effect.gen(function*() {
        const { config, head, said } = yield* loaded(yield* tiedFolder((copy) => copy, { precision }))
        assert.isTrue(config.tieWordEmbeddings)
        assert.isUndefined(head)
        assert.strictEqual(said, "")
      })))
  }

  it.effect("is compared by numbers, not by bytes: a copy may have another format", () =>
    test(Effect.gen(function*() {
      const { join } = yield* Path.Path
      const wide = new Uint8Array(numbersOf({ name: embedding, shape: [11, 8] }).buffer)
      const withHead = Effect.fnUntraced(function*(head: Uint8Array) {
        const directory = yield* tiedFolder((copy) => copy, {
          config: smallConfig({ tie_word_embeddings: true }),
          precision: "bfloat16"
        })
        let end = 0
        yield* editSafetensors(join(directory, "model.safetensors"), (header) => {
          end = Math.max(...Object.values(header).flatMap(({ data_offsets }) => data_offsets ?? []))
          header[outputHead] = { dtype: "F32", shape: [11, 8], data_offsets: [end, end + head.length] }
        }, (data) => Buffer.concat([data, head]))
        return yield* loaded(directory)
      })
      assert.isUndefined((yield* withHead(wide)).head)
      const other = yield* withHead(new Uint8Array(new Float32Array(wide.slice().buffer).with(3, 2 ** -20).buffer))
      assert.strictEqual(other.head?.[3], 2 ** -20)
    })))

  it.effect("is found in shards, named by the index or not", () =>
    test(Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { join } = yield* Path.Path
      const directory = yield* tiedFolder(otherLast, { maxShardBytes: 1200 })
      assert.strictEqual((yield* loaded(directory)).head?.at(-1), 0.75)
      const index = join(directory, "model.safetensors.index.json")
      const text = yield* fs.readFileString(index)
      assert.include(text, outputHead)
      const { weight_map: { [outputHead]: _, ...weight_map }, ...rest } = JSON.parse(text)
      yield* fs.writeFileString(index, JSON.stringify({ ...rest, weight_map }))
      const { config, head, said } = yield* loaded(directory)
      assert.isFalse(config.tieWordEmbeddings)
      assert.strictEqual(head?.at(-1), 0.75)
      assert.include(said, "lm_head.weight differs")
    })))

  it.effect("is refused where it has another shape than the vocabulary needs", () =>
    test(Effect.gen(function*() {
      const { join } = yield* Path.Path
      const directory = yield* tiedFolder((copy) => copy)
      yield* editSafetensors(join(directory, "model.safetensors"), (header) => {
        header[outputHead] = { ...header[outputHead]!, shape: [8, 11] }
      })
      const error = yield* Effect.flip(Weights.read(directory))
      assert.strictEqual(error._tag, "TensorShapeMismatch")
      assert.include(error.message, outputHead)
    })))

  it.effect("is saved again as a head of its own", () =>
    test(Effect.gen(function*() {
      const { join } = yield* Path.Path
      const directory = yield* tiedFolder(otherLast)
      const { config } = yield* loaded(directory)
      const saved = join(directory, "..", "saved")
      yield* Weights.save(saved, {
        config,
        read: (spec) => Effect.succeed(spec.name === outputHead ? otherLast(copyOfEmbedding(spec)) : numbersOf(spec))
      })
      const again = yield* loaded(saved)
      assert.strictEqual(again.head?.at(-1), 0.75)
      assert.strictEqual(again.said, "")
    })))
})
