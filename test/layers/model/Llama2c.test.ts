import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Path, Stream } from "effect"
import type { ModelConfig } from "../../../src/domain/ModelConfig.ts"
import * as ModelTensors from "../../../src/domain/ModelTensors.ts"
import * as Weights from "../../../src/layers/model/Weights.ts"
import { numbersOf, smallConfig } from "./modelFiles.ts"

const tied = smallConfig({ tie_word_embeddings: true, rms_norm_eps: 1e-5 })
const untied = smallConfig({ rms_norm_eps: 1e-5 })

/** Rows as llama2.c has them, where `i` and `i + headDim / 2` are neighbours. */
const interleave = (data: Float32Array, headDim: number, columns: number) => {
  const rows = Array.from({ length: data.length / columns }, (_, row) => data.slice(row * columns, (row + 1) * columns))
  const head = (row: number) => row - row % headDim
  return rows.map((_, row) => rows[head(row) + (row % headDim >> 1) + (row % 2) * (headDim / 2)]!).flatMap((
    row
  ) => [...row])
}

const llama2cBytes = (config: ModelConfig, version: 0 | 1): Uint8Array => {
  const fields = [
    config.hiddenSize,
    config.intermediateSize,
    config.layers,
    config.heads,
    config.keyValueHeads,
    version === 0 && !config.tieWordEmbeddings ? -config.vocabularySize : config.vocabularySize,
    config.maxPositions
  ]
  const specs = ModelTensors.tensors(config)
  const named = (part: string) => specs.filter(({ name }) => name.includes(part))
  const [embed, input, after, q, k, v, o, gate, down, up, norm, head] = [
    "embed_tokens",
    "input_layernorm",
    "post_attention",
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "gate_proj",
    "down_proj",
    "up_proj",
    "model.norm",
    "lm_head"
  ].map(named)
  const angles = "angles" as const
  const order = version === 0
    ? [embed!, input!, q!, k!, v!, o!, after!, gate!, down!, up!, norm!, angles, head!]
    : [input!, after!, norm!, embed!, q!, k!, v!, o!, gate!, down!, up!, head!]
  const numbers = order.flatMap((group) =>
    group === angles
      ? Array.from({ length: config.maxPositions * config.headDim }, () => 9)
      : group.flatMap((spec) =>
        /[qk]_proj/u.test(spec.name)
          ? interleave(numbersOf(spec), config.headDim, config.hiddenSize)
          : [...numbersOf(spec)]
      )
  )
  const header = version === 0
    ? new Uint8Array(Int32Array.from(fields).buffer)
    : new Uint8Array(256)
  if (version === 1) {
    header.set(new Uint8Array(Int32Array.of(0x616b3432, 1, ...fields).buffer))
    header[36] = config.tieWordEmbeddings ? 1 : 0
  }
  return Buffer.concat([header, new Uint8Array(Float32Array.from(numbers).buffer)])
}

const written = Effect.fnUntraced(function*(bytes: Uint8Array) {
  const fs = yield* FileSystem.FileSystem
  const { join } = yield* Path.Path
  const path = join(yield* fs.makeTempDirectoryScoped(), "model.bin")
  yield* fs.writeFile(path, bytes)
  return path
})

const failure = Effect.fnUntraced(function*(bytes: Uint8Array) {
  return yield* Effect.flip(Weights.read(yield* written(bytes)))
})

const int32 = (bytes: Uint8Array, position: number, value: number) => {
  const changed = Uint8Array.from(bytes)
  new DataView(changed.buffer).setInt32(position, value, true)
  return changed
}

describe("Weights.read of llama2.c files", () => {
  for (const version of [0, 1] as const) {
    for (const config of [tied, untied]) {
      const name = `version ${version}, ${config.tieWordEmbeddings ? "shared" : "own"} classifier`
      it.effect(name, () =>
        Effect.gen(function*() {
          const path = yield* written(llama2cBytes(config, version))
          const weights = yield* Weights.read(path)
          assert.deepStrictEqual(ModelTensors.tensors(weights.config), ModelTensors.tensors(config))
          assert.strictEqual(weights.config.rmsNormEps, 1e-5)
          assert.strictEqual(weights.config.maxPositions, 16)
          // run.c stops at the beginning of the next text too
          assert.deepStrictEqual(weights.config.eosTokenIds, [2, 1])
          const tensors = yield* Stream.runCollect(weights.tensors)
          assert.deepStrictEqual(tensors.map(({ name, shape }) => ({ name, shape })), ModelTensors.tensors(config))
          for (const tensor of tensors) assert.deepStrictEqual(tensor.data, numbersOf(tensor), tensor.name)
        }).pipe(Effect.provide(NodeServices.layer)))
    }
  }

  it.effect("finds the file in a folder beside its tokenizer", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { dirname, join } = yield* Path.Path
      const directory = dirname(yield* written(llama2cBytes(tied, 0)))
      yield* fs.writeFile(join(directory, "tok512.bin"), new Uint8Array(4))
      assert.strictEqual((yield* Weights.read(directory)).config.vocabularySize, 11)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("names what is wrong with a file", () =>
    Effect.gen(function*() {
      const good = llama2cBytes(tied, 0)
      const version1 = llama2cBytes(tied, 1)
      const expectations: ReadonlyArray<readonly [Uint8Array, string, string]> = [
        [good.subarray(0, 20), "ModelFileTruncated", "truncated within the header: 28 bytes expected, 20 found"],
        [version1.subarray(0, 200), "ModelFileTruncated", "truncated within the header: 256 bytes expected, 200 found"],
        [good.subarray(0, good.length - 4), "ModelFileTruncated", "truncated within the rotary tables"],
        [version1.subarray(0, version1.length - 4), "ModelFileTruncated", "layers.1.mlp.up_proj.weight"],
        [
          Buffer.concat([good, new Uint8Array(8)]),
          "ModelFileInvalid",
          `has ${good.length} bytes, the file has ${good.length + 8}`
        ],
        [int32(version1, 4, 2), "ModelFileInvalid", "version 2 of the llama2.c format is not supported"],
        [int32(good, 8, 2 ** 30), "ModelFileInvalid", "layers is 1073741824 in the header; this is no llama2.c model"],
        [
          int32(int32(good, 0, 2 ** 30), 20, 2 ** 30),
          "ModelFileTruncated",
          "truncated within model.embed_tokens.weight"
        ],
        [int32(good, 8, 0), "ModelFileInvalid", "layers is 0 in the header"],
        [int32(good, 12, 3), "ModelFileInvalid", "dim 8, n_heads 3 and n_kv_heads 1 of the header do not fit together"]
      ]
      for (const [bytes, tag, message] of expectations) {
        const error = yield* failure(bytes)
        assert.strictEqual(error._tag, tag, error.message)
        assert.include(error.message, message)
        assert.include(error.message, "model.bin")
      }
    }).pipe(Effect.provide(NodeServices.layer)))
})
