/**
 * Weights in the formats of llama2.c (`export.py`): the legacy one and version 1.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, Result, Stream } from "effect"
import { maxLayers, ModelConfig } from "../../domain/ModelConfig.ts"
import * as ModelTensors from "../../domain/ModelTensors.ts"
import * as FileBytes from "./FileBytes.ts"
import { fromPlatform, ModelFileInvalid, ModelFileTruncated, type ModelLoadError } from "./ModelFileErrors.ts"
import type { Tensor, Weights } from "./WeightStream.ts"

/** "ak42" in little-endian ASCII, with which all versions but the legacy one begin. */
const magic = 0x616b3432

/** Bytes of the header of version 1. */
const version1HeaderBytes = 256

/** Bytes of the legacy header. */
const legacyHeaderBytes = 28

interface Header {
  readonly config: ModelConfig
  readonly legacy: boolean
}

const decodeHeader = (
  path: string,
  bytes: Uint8Array
): Result.Result<Header, ModelFileInvalid | ModelFileTruncated> => {
  const refuse = (reason: string) => Result.fail(new ModelFileInvalid({ path, reason }))
  if (bytes.length < legacyHeaderBytes) {
    return Result.fail(
      new ModelFileTruncated({
        path,
        part: "the header",
        expectedBytes: legacyHeaderBytes,
        foundBytes: bytes.length
      })
    )
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const legacy = view.getUint32(0, true) !== magic
  if (!legacy && bytes.length < version1HeaderBytes) {
    return Result.fail(
      new ModelFileTruncated({
        path,
        part: "the header",
        expectedBytes: version1HeaderBytes,
        foundBytes: bytes.length
      })
    )
  }
  if (!legacy && view.getInt32(4, true) !== 1) {
    return refuse(
      `version ${view.getInt32(4, true)} of the llama2.c format is not supported; ` +
        "supported are the legacy format and version 1 (float32): export the model with --version 0 or 1"
    )
  }
  const start = legacy ? 0 : 8
  const field = (index: number) => view.getInt32(start + 4 * index, true)
  const [hiddenSize, intermediateSize, layers, heads, keyValueHeads, signedVocabulary, maxPositions] = [
    field(0),
    field(1),
    field(2),
    field(3),
    field(4),
    field(5),
    field(6)
  ]
  const vocabularySize = Math.abs(signedVocabulary)
  const named = { hiddenSize, intermediateSize, layers, heads, keyValueHeads, vocabularySize, maxPositions }
  for (const [name, value] of Object.entries(named)) {
    if (value <= 0) return refuse(`${name} is ${value} in the header; expected a positive number`)
  }
  if (layers > maxLayers) return refuse(`layers is ${layers} in the header; this is no llama2.c model`)
  if (hiddenSize % heads !== 0 || (hiddenSize / heads) % 2 !== 0 || heads % keyValueHeads !== 0) {
    return refuse(
      `dim ${hiddenSize}, n_heads ${heads} and n_kv_heads ${keyValueHeads} of the header do not fit together`
    )
  }
  return Result.succeed({
    legacy,
    config: new ModelConfig({
      ...named,
      architecture: "llama",
      headDim: hiddenSize / heads,
      slidingWindow: null,
      rmsNormEps: 1e-5,
      ropeTheta: 10_000,
      ropeScaling: null,
      // The legacy format marks a head of its own with a negative size of the vocabulary, version 1 with a flag.
      tieWordEmbeddings: legacy ? signedVocabulary > 0 : view.getUint8(36) !== 0,
      attentionBias: false,
      bosTokenIds: [1],
      // The next text's beginning ends one, too: `run.c` stops there.
      eosTokenIds: [2, 1],
      padTokenId: null,
      precision: "float32",
      others: {}
    })
  })
}

/** The weights in the order of the file; `null` for the tables of rotary angles. */
const fileOrder = ({ config, legacy }: Header): ReadonlyArray<string | null> => {
  const each = (name: string) =>
    Array.from({ length: config.layers }, (_, layer) => ModelTensors.layerTensor(layer, name))
  const projections = ["q_proj", "k_proj", "v_proj", "o_proj"].flatMap((name) => each(`self_attn.${name}.weight`))
  const mlp = ["gate_proj", "down_proj", "up_proj"].flatMap((name) => each(`mlp.${name}.weight`))
  const inputNorms = each("input_layernorm.weight")
  const mlpNorms = each("post_attention_layernorm.weight")
  const head = config.tieWordEmbeddings ? [] : [ModelTensors.outputHead]
  const { embedding, finalNorm } = ModelTensors
  return legacy
    ? [embedding, ...inputNorms, ...projections, ...mlpNorms, ...mlp, finalNorm, null, ...head]
    : [...inputNorms, ...mlpNorms, finalNorm, embedding, ...projections, ...mlp, ...head]
}

interface Plan {
  readonly config: ModelConfig
  readonly positions: ReadonlyMap<string, number>
}

const plan = Effect.fnUntraced(function*(file: FileSystem.File, path: string) {
  const fileBytes = yield* FileBytes.size(file, path)
  const bytes = new Uint8Array(Math.min(fileBytes, version1HeaderBytes))
  yield* FileBytes.readInto(file, path, bytes, 0, "the header")
  const header = yield* Effect.fromResult(decodeHeader(path, bytes))
  const { config } = header
  const specs = new Map(ModelTensors.tensors(config).map((spec) => [spec.name, spec]))
  const positions = new Map<string, number>()
  let position = header.legacy ? legacyHeaderBytes : version1HeaderBytes
  for (const name of fileOrder(header)) {
    const spec = name === null ? undefined : specs.get(name)
    if (name !== null) positions.set(name, position)
    position += 4 * (spec === undefined ? config.maxPositions * config.headDim : ModelTensors.elements(spec.shape))
    if (position > fileBytes) {
      return yield* new ModelFileTruncated({
        path,
        part: name ?? "the rotary tables",
        expectedBytes: position,
        foundBytes: fileBytes
      })
    }
  }
  if (position !== fileBytes) {
    return yield* new ModelFileInvalid({
      path,
      reason: `a llama2.c model with this header has ${position} bytes, the file has ${fileBytes}`
    })
  }
  const result: Plan = { config, positions }
  return result
})

/**
 * Rows of a query or key projection from llama2.c's order, where dimension `2i` of a head turns with `2i + 1`, to
 * Hugging Face's, where `i` turns with `i + headDim / 2`. Shape `[heads · headDim, columns]`.
 */
const halveHeads = (data: Float32Array, headDim: number, columns: number): Float32Array => {
  const permuted = new Float32Array(data.length)
  const half = headDim / 2
  for (let row = 0; row < data.length / columns; row++) {
    const within = row % headDim
    const source = row - within + (within < half ? 2 * within : 2 * (within - half) + 1)
    permuted.set(data.subarray(source * columns, (source + 1) * columns), row * columns)
  }
  return permuted
}

const readTensor = Effect.fnUntraced(function*(
  file: FileSystem.File,
  path: string,
  { config, positions }: Plan,
  spec: ModelTensors.TensorSpec
) {
  const data = new Float32Array(ModelTensors.elements(spec.shape))
  const position = positions.get(spec.name) ?? 0
  yield* FileBytes.readInto(file, path, new Uint8Array(data.buffer), position, spec.name)
  const tensor: Tensor = {
    ...spec,
    data: /\.[qk]_proj\./u.test(spec.name) ? halveHeads(data, config.headDim, config.hiddenSize) : data
  }
  return tensor
})

/**
 * Opens a llama2.c file. Names and layout of the weights are Hugging Face's: query and key rows are reordered, so that
 * one rotary embedding serves both.
 *
 * @category constructors
 * @since 0.1.0
 */
export const read = Effect.fn("Llama2c.read")(function*(
  path: string
): Effect.fn.Return<Weights, ModelLoadError, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const open = fs.open(path, { flag: "r" }).pipe(Effect.mapError(fromPlatform(path)))
  const { config } = yield* Effect.scoped(Effect.flatMap(open, (file) => plan(file, path)))
  return {
    config,
    tensors: Stream.unwrap(Effect.gen(function*() {
      const file = yield* open
      const layout = yield* plan(file, path)
      return Stream.fromIterable(ModelTensors.tensors(layout.config)).pipe(
        Stream.mapEffect((spec) => readTensor(file, path, layout, spec))
      )
    }))
  }
})
