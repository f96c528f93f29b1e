/**
 * Files of tensors in the safetensors format.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, type Scope } from "effect"
import { narrowToBFloat16, narrowToFloat16, widenBFloat16, widenFloat16 } from "../../domain/FloatFormats.ts"
import type { Precision } from "../../domain/ModelConfig.ts"
import { elements, type TensorSpec } from "../../domain/ModelTensors.ts"
import * as FileBytes from "./FileBytes.ts"
import {
  fromPlatform,
  type ModelFileInvalid,
  ModelFileIo,
  type ModelFileMissing,
  type ModelFileTruncated,
  type TensorOffsetsInvalid,
  TensorTypeUnsupported
} from "./ModelFileErrors.ts"
import * as SafetensorsHeader from "./SafetensorsHeader.ts"

/**
 * Why a safetensors file could not be read.
 *
 * @category errors
 * @since 0.1.0
 */
export type SafetensorsError =
  | ModelFileMissing
  | ModelFileIo
  | ModelFileInvalid
  | ModelFileTruncated
  | TensorOffsetsInvalid
  | TensorTypeUnsupported

/**
 * An open file. Only its header is in memory.
 *
 * @category models
 * @since 0.1.0
 */
export interface SafetensorsFile {
  readonly path: string
  readonly entries: ReadonlyMap<string, SafetensorsHeader.TensorEntry>
  /**
   * Reads one tensor or `numbers` of it, widened to float32; nothing beside the result is held but 16 MiB.
   */
  readonly read: (
    entry: SafetensorsHeader.TensorEntry,
    numbers?: Numbers
  ) => Effect.Effect<Float32Array, SafetensorsError>
}

/**
 * A part of a tensor, row by row.
 *
 * @category models
 * @since 0.2.0
 */
export interface Numbers {
  readonly first: number
  readonly count: number
}

/** Numbers written at once: what a conversion holds beside the tensor. */
const chunkNumbers = 4 * 1024 * 1024

const readTensor = Effect.fnUntraced(function*(
  file: FileSystem.File,
  path: string,
  entry: SafetensorsHeader.TensorEntry,
  { count, first }: Numbers
) {
  const { name, type } = entry
  const data = new Float32Array(count)
  if (type === "F32") {
    yield* FileBytes.readInto(file, path, new Uint8Array(data.buffer), entry.position + 4 * first, name)
    return data
  }
  if (type !== "F16" && type !== "BF16") {
    return yield* new TensorTypeUnsupported({
      path,
      tensor: name,
      expected: SafetensorsHeader.tensorTypes,
      found: type
    })
  }
  const widen = type === "F16" ? widenFloat16 : widenBFloat16
  const range = { position: entry.position + 2 * first, bytes: 2 * count, part: name }
  yield* FileBytes.readRuns(file, path, range, (run, before) => {
    const words = new Uint16Array(run.buffer, run.byteOffset, run.length / 2)
    widen(words, data.subarray(before / 2, before / 2 + words.length))
  })
  return data
})

/**
 * Opens a file and checks its header. The file is closed with the scope.
 *
 * @category constructors
 * @since 0.1.0
 */
export const open = Effect.fn("Safetensors.open")(function*(
  path: string
): Effect.fn.Return<SafetensorsFile, SafetensorsError, FileSystem.FileSystem | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const file = yield* fs.open(path, { flag: "r" }).pipe(Effect.mapError(fromPlatform(path)))
  const fileBytes = yield* FileBytes.size(file, path)
  const prefix = new Uint8Array(8)
  yield* FileBytes.readInto(file, path, prefix.subarray(0, Math.min(8, fileBytes)), 0, "the header")
  const headerBytes = yield* Effect.fromResult(SafetensorsHeader.decodeLength(path, prefix, fileBytes))
  const header = new Uint8Array(headerBytes)
  yield* FileBytes.readInto(file, path, header, 8, "the header")
  const entries = yield* Effect.fromResult(
    SafetensorsHeader.decode(path, new TextDecoder().decode(header), { headerBytes, fileBytes })
  )
  return {
    path,
    entries,
    read: (entry, numbers = { first: 0, count: elements(entry.shape) }) => readTensor(file, path, entry, numbers)
  }
})

const typeOf: Readonly<Record<Precision, SafetensorsHeader.TensorType>> = {
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16"
}

/** Numbers as the bytes of a file. */
const encodeTensor = (data: Float32Array, precision: Precision): Uint8Array => {
  if (precision === "float32") return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  const words = new Uint16Array(data.length)
  if (precision === "bfloat16") narrowToBFloat16(data, words)
  else narrowToFloat16(data, words)
  return new Uint8Array(words.buffer)
}

/**
 * Writes `tensors` in their order and reaches the disk before it succeeds. `read` is asked for one tensor at a time.
 * Equal tensors give equal bytes. The file itself is not written atomically.
 *
 * @category constructors
 * @since 0.1.0
 */
export const write = Effect.fn("Safetensors.write")(function*<E, R>(
  path: string,
  tensors: ReadonlyArray<TensorSpec>,
  options: {
    readonly precision: Precision
    readonly read: (tensor: TensorSpec) => Effect.Effect<Float32Array, E, R>
  }
): Effect.fn.Return<void, E | ModelFileIo | ModelFileMissing, R | FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  yield* Effect.scoped(Effect.gen(function*() {
    const failed = Effect.mapError(fromPlatform(path))
    const file = yield* failed(fs.open(path, { flag: "w" }))
    const { precision } = options
    const type = typeOf[precision]
    yield* failed(file.writeAll(SafetensorsHeader.encode(tensors.map((tensor) => ({ ...tensor, type })))))
    for (const tensor of tensors) {
      const data = yield* options.read(tensor)
      if (data.length !== elements(tensor.shape)) {
        return yield* new ModelFileIo({
          path,
          reason: `${tensor.name} was given ${data.length} numbers, its shape has ${elements(tensor.shape)}`
        })
      }
      for (let begin = 0; begin < data.length; begin += chunkNumbers) {
        yield* failed(file.writeAll(encodeTensor(data.subarray(begin, begin + chunkNumbers), precision)))
      }
    }
    yield* failed(file.sync)
  }))
})
