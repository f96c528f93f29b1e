/**
 * Files in the making: the index itself, and what waits beside it until its place in the index is known.
 *
 * @since 0.1.0
 */
// CRC-32 has no counterpart in Effect.
// @effect-diagnostics nodeBuiltinImport:off
import { Effect, FileSystem, type Scope } from "effect"
import { crc32 } from "node:zlib"
import { IndexIo, ioOf } from "./errors.ts"
import { type Numbers, type Section, stride } from "./format.ts"

/**
 * The bytes of numbers, in pieces of at most a stride; one that is empty where there are none.
 *
 * @category conversions
 * @since 0.1.0
 */
export const strides = (values: Numbers): ReadonlyArray<Uint8Array> => {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  return Array.from(
    { length: Math.max(1, Math.ceil(bytes.length / stride)) },
    (_, index) => bytes.subarray(index * stride, (index + 1) * stride)
  )
}

/**
 * Appends to a file and keeps account of its sections.
 *
 * @category models
 * @since 0.1.0
 */
export class Writer {
  readonly sections: Record<string, Section> = {}
  private readonly append: (bytes: Uint8Array) => Effect.Effect<void, IndexIo>
  private position = 0

  constructor(append: (bytes: Uint8Array) => Effect.Effect<void, IndexIo>) {
    this.append = append
  }

  raw(bytes: Uint8Array): Effect.Effect<void, IndexIo> {
    this.position += bytes.length
    return this.append(bytes)
  }

  /** Adds to the section that was begun last, or begins one. */
  grow(name: string, bytes: Uint8Array): Effect.Effect<void, IndexIo> {
    const section = this.sections[name] ?? { offset: this.position, bytes: 0, crc32: 0 }
    this.sections[name] = {
      offset: section.offset,
      bytes: section.bytes + bytes.length,
      crc32: crc32(bytes, section.crc32)
    }
    return this.raw(bytes)
  }

  /** A section of numbers, aligned so that they can be used as they are; more of them may follow by {@link grow}. */
  array(name: string, values: Numbers): Effect.Effect<void, IndexIo> {
    return Effect.suspend(() => this.raw(new Uint8Array((8 - this.position % 8) % 8))).pipe(
      Effect.andThen(Effect.forEach(
        strides(values),
        (bytes) => Effect.suspend(() => this.grow(name, bytes)),
        { discard: true }
      ))
    )
  }
}

/**
 * A file beside the index, written and read until the end of the scope, which removes it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Aside {
  readonly append: (values: Numbers) => Effect.Effect<void, IndexIo>
  /** Reads bytes of the file. */
  readonly read: (position: number, bytes: number) => Effect.Effect<ArrayBuffer, IndexIo>
  /** Bytes that were appended. */
  readonly size: () => number
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const aside = Effect.fnUntraced(function*(
  path: string,
  index: string
): Effect.fn.Return<Aside, IndexIo, FileSystem.FileSystem | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const io = ioOf(index)
  yield* Effect.addFinalizer(() => Effect.ignore(fs.remove(path, { force: true })))
  const file = yield* io(fs.open(path, { flag: "w+" }))
  let size = 0
  return {
    append: (values) => {
      size += values.byteLength
      return Effect.forEach(strides(values), (bytes) => io(file.writeAll(bytes)), { discard: true })
    },
    read: Effect.fnUntraced(function*(position, bytes) {
      const buffer = new ArrayBuffer(bytes)
      for (let done = 0; done < bytes;) {
        const target = new Uint8Array(buffer, done, Math.min(stride, bytes - done))
        const read = yield* io(file.read(target, { position: BigInt(position + done) }))
        if (read === 0) return yield* new IndexIo({ path: index, reason: "what was written beside it is gone" })
        done += read
      }
      return buffer
    }),
    size: () => size
  }
})

/** Bytes copied at a time. */
const copied = 1 << 20

/**
 * Makes the content of a file beside the index its section.
 *
 * @category operations
 * @since 0.1.0
 */
export const adopt = Effect.fnUntraced(function*(writer: Writer, name: string, { read, size }: Aside) {
  yield* writer.array(name, new Uint8Array())
  for (let start = 0; start < size(); start += copied) {
    yield* writer.grow(name, new Uint8Array(yield* read(start, Math.min(copied, size() - start))))
  }
})
