import { Effect, FileSystem, Path, Result, type Schema } from "effect"
import * as HuggingFaceConfig from "../../../src/domain/HuggingFaceConfig.ts"
import type { ModelConfig } from "../../../src/domain/ModelConfig.ts"
import * as ModelTensors from "../../../src/domain/ModelTensors.ts"
import * as Weights from "../../../src/layers/model/Weights.ts"

/** A small configuration; `keys` are in the words of config.json. */
export const smallConfig = (keys: { readonly [key: string]: Schema.Json } = {}): ModelConfig =>
  Result.getOrThrow(HuggingFaceConfig.decode({
    model_type: "llama",
    vocab_size: 11,
    hidden_size: 8,
    intermediate_size: 12,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    max_position_embeddings: 16,
    ...keys
  }))

/** Distinct numbers for each tensor that every stored format holds exactly. */
export const numbersOf = (spec: ModelTensors.TensorSpec): Float32Array => {
  const salt = [...spec.name].reduce((sum, character) => (sum * 31 + character.charCodeAt(0)) % 251, 7)
  return Float32Array.from({ length: ModelTensors.elements(spec.shape) }, (_, i) => ((i * 37 + salt) % 255 - 127) / 128)
}

/** Saves a small model into a new folder and hands its path on. */
export const savedModel = Effect.fnUntraced(function*(
  options: Partial<Weights.SaveOptions<never, never>> = {}
) {
  const fs = yield* FileSystem.FileSystem
  const { join } = yield* Path.Path
  const directory = join(yield* fs.makeTempDirectoryScoped(), "model")
  yield* Weights.save(directory, {
    config: smallConfig(),
    read: (spec) => Effect.succeed(numbersOf(spec)),
    ...options
  })
  return directory
})

interface Entry {
  readonly dtype: string
  readonly shape: ReadonlyArray<number>
  readonly data_offsets: readonly [number, number]
}

const editJson = (json: Uint8Array, edit: (header: Record<string, Entry>) => unknown): Uint8Array => {
  const header: Record<string, Entry> = JSON.parse(new TextDecoder().decode(json))
  return new TextEncoder().encode(JSON.stringify(edit(header) ?? header))
}

/** A safetensors file with its header changed by `edit` and its data cut or extended by `data`. */
export const editSafetensors = Effect.fnUntraced(function*(
  path: string,
  edit: (header: Record<string, Entry>) => unknown,
  data: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes
) {
  const fs = yield* FileSystem.FileSystem
  const bytes = yield* fs.readFile(path)
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true))
  const json = editJson(bytes.subarray(8, 8 + length), edit)
  const prefix = new Uint8Array(8)
  new DataView(prefix.buffer).setBigUint64(0, BigInt(json.length), true)
  yield* fs.writeFile(path, Buffer.concat([prefix, json, data(bytes.subarray(8 + length))]))
})

/** The text of the config.json of `config`. */
export const configText = (config: ModelConfig): string => JSON.stringify(HuggingFaceConfig.encode(config))
