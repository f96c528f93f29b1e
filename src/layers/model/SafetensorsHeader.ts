/**
 * The header of a safetensors file: eight bytes of length, then JSON that names each tensor's type, shape and place.
 *
 * @since 0.1.0
 */
import { Result, Schema } from "effect"
import { elements } from "../../domain/ModelTensors.ts"
import { ModelFileInvalid, ModelFileTruncated, TensorOffsetsInvalid, TensorTypeUnsupported } from "./ModelFileErrors.ts"

/**
 * Where a tensor lies. `position` counts bytes from the beginning of the file.
 *
 * @category models
 * @since 0.1.0
 */
export interface TensorEntry {
  readonly name: string
  readonly type: string
  readonly shape: ReadonlyArray<number>
  readonly position: number
  readonly bytes: number
}

/**
 * The types of tensors that are read and written.
 *
 * @category constants
 * @since 0.1.0
 */
export const tensorTypes = ["F32", "F16", "BF16"] as const

/**
 * @category models
 * @since 0.1.0
 */
export type TensorType = typeof tensorTypes[number]

/** Bytes of one number of each type that the format knows. */
const typeBytes: ReadonlyMap<string, number> = new Map([
  ["BOOL", 1],
  ["U8", 1],
  ["I8", 1],
  ["F8_E5M2", 1],
  ["F8_E4M3", 1],
  ["I16", 2],
  ["U16", 2],
  ["F16", 2],
  ["BF16", 2],
  ["I32", 4],
  ["U32", 4],
  ["F32", 4],
  ["F64", 8],
  ["I64", 8],
  ["U64", 8]
])

/**
 * The longest header that the format's reference implementation accepts, in bytes.
 *
 * @category constants
 * @since 0.1.0
 */
export const maxHeaderBytes = 100_000_000

/** What a file is that begins with these eight characters, where it is one that is often taken for weights. */
const notWeights = (beginning: string): string | undefined =>
  beginning === "version "
    ? "it is a pointer of Git LFS and not the weights; run \"git lfs pull\" where it was cloned, or download it"
    : /^\s*</u.test(beginning)
    ? "it is a web page and not the weights; download it again"
    : undefined

/**
 * The length of the header behind the file's first eight bytes.
 *
 * @category conversions
 * @since 0.1.0
 */
export const decodeLength = (
  path: string,
  prefix: Uint8Array,
  fileBytes: number
): Result.Result<number, ModelFileInvalid | ModelFileTruncated> => {
  if (fileBytes < 8) {
    return Result.fail(
      new ModelFileTruncated({ path, part: "the header", expectedBytes: 8, foundBytes: fileBytes })
    )
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true)
  if (length < 2n || length > BigInt(maxHeaderBytes)) {
    const instead = notWeights(new TextDecoder().decode(prefix))
    return Result.fail(
      new ModelFileInvalid({
        path,
        reason: instead ?? `expected a safetensors header of 2 to ${maxHeaderBytes} bytes, found the length ${length}`
      })
    )
  }
  return fileBytes < 8 + Number(length)
    ? Result.fail(
      new ModelFileTruncated({
        path,
        part: "the header",
        expectedBytes: 8 + Number(length),
        foundBytes: fileBytes
      })
    )
    : Result.succeed(Number(length))
}

const Entry = Schema.Struct({
  dtype: Schema.String,
  shape: Schema.Array(Schema.Natural),
  data_offsets: Schema.Tuple([Schema.Natural, Schema.Natural])
})

const Header = Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown))

const decodeHeader = Schema.decodeUnknownResult(Header)
const decodeEntry = Schema.decodeUnknownResult(Entry)

/** A key that a JSON object has more than once, at its own level: a parser keeps the last and says nothing. */
const repeatedKey = (json: string): string | undefined => {
  const keys = new Set<string>()
  let depth = 0
  for (const [token, string, colon] of json.matchAll(/[{}[\]]|"([^"\\]*(?:\\.[^"\\]*)*)"(\s*:)?/gu)) {
    if (token === "{" || token === "[") depth++
    else if (token === "}" || token === "]") depth--
    else if (depth === 1 && string !== undefined && colon !== undefined) {
      if (keys.has(string)) return string
      keys.add(string)
    }
  }
  return undefined
}

const checkEntry = (
  path: string,
  name: string,
  json: unknown,
  dataStart: number
): Result.Result<TensorEntry, ModelFileInvalid | TensorOffsetsInvalid | TensorTypeUnsupported> =>
  Result.gen(function*() {
    const entry = yield* Result.mapError(decodeEntry(json), (error) =>
      new ModelFileInvalid({
        path,
        reason: `the header's entry for ${name}: ${error.message.replaceAll("\n", " ")}`
      }))
    const width = typeBytes.get(entry.dtype)
    if (width === undefined) {
      return yield* Result.fail(
        new TensorTypeUnsupported({ path, tensor: name, expected: tensorTypes, found: entry.dtype })
      )
    }
    const [begin, end] = entry.data_offsets
    const bytes = elements(entry.shape) * width
    if (end - begin !== bytes) {
      return yield* Result.fail(
        new TensorOffsetsInvalid({
          path,
          tensor: name,
          expected: `${bytes} bytes for ${entry.dtype} of shape [${entry.shape.join(", ")}]`,
          found: `[${begin}, ${end}], ${end - begin} bytes`
        })
      )
    }
    return { name, type: entry.dtype, shape: entry.shape, position: dataStart + begin, bytes }
  })

/**
 * The tensors of a file by name, from the text of its header. Their places must cover the file's rest exactly, as the
 * format demands: a gap, an overlap or a byte too many is an error.
 *
 * @category conversions
 * @since 0.1.0
 */
export const decode = (
  path: string,
  text: string,
  options: { readonly headerBytes: number; readonly fileBytes: number }
): Result.Result<
  ReadonlyMap<string, TensorEntry>,
  ModelFileInvalid | ModelFileTruncated | TensorOffsetsInvalid | TensorTypeUnsupported
> =>
  Result.gen(function*() {
    const dataStart = 8 + options.headerBytes
    const header = yield* Result.mapError(decodeHeader(text), () =>
      new ModelFileInvalid({ path, reason: "the header is not a JSON object: this is no safetensors file" }))
    const twice = repeatedKey(text)
    if (twice !== undefined) {
      return yield* Result.fail(new ModelFileInvalid({ path, reason: `the header names ${twice} twice` }))
    }
    const entries: Array<TensorEntry> = []
    for (const [name, json] of Object.entries(header)) {
      if (name !== "__metadata__") {
        entries.push(yield* checkEntry(path, name, json, dataStart))
      }
    }
    entries.sort((a, b) =>
      a.position - b.position || a.bytes - b.bytes
    )
    let end = dataStart
    for (const entry of entries) {
      if (entry.position !== end) {
        return yield* Result.fail(
          new TensorOffsetsInvalid({
            path,
            tensor: entry.name,
            expected: `a begin at ${end - dataStart}, where the tensor before it ends`,
            found: String(entry.position - dataStart)
          })
        )
      }
      end += entry.bytes
      if (end > options.fileBytes) {
        return yield* Result.fail(
          new ModelFileTruncated({ path, part: entry.name, expectedBytes: end, foundBytes: options.fileBytes })
        )
      }
    }
    if (end !== options.fileBytes) {
      return yield* Result.fail(
        new ModelFileInvalid({
          path,
          reason: `${options.fileBytes - end} bytes behind the last tensor belong to none`
        })
      )
    }
    return new Map(entries.map((entry) => [entry.name, entry]))
  })

/**
 * The first bytes of a file that holds `entries` one behind the other, up to where the data begins. Equal entries give
 * equal bytes.
 *
 * @category conversions
 * @since 0.1.0
 */
export const encode = (
  entries: ReadonlyArray<
    { readonly name: string; readonly type: TensorType; readonly shape: ReadonlyArray<number> }
  >
): Uint8Array => {
  let end = 0
  // transformers refuses files without this mark.
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } }
  for (const { name, shape, type } of entries) {
    const begin = end
    end += elements(shape) * (type === "F32" ? 4 : 2)
    header[name] = { dtype: type, shape, data_offsets: [begin, end] }
  }
  const json = new TextEncoder().encode(JSON.stringify(header))
  const padded = Math.ceil(json.length / 8) * 8
  const bytes = new Uint8Array(8 + padded).fill(0x20)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true)
  bytes.set(json, 8)
  return bytes
}
