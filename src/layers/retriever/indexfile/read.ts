/**
 * Opens an index file: its parts into memory, its passages too or from disk as they are needed.
 *
 * @since 0.1.0
 */
// Positional reads from a file descriptor and CRC-32 have no counterpart in Effect.
// @effect-diagnostics nodeBuiltinImport:off
import { Effect, Option, Schema, type Scope } from "effect"
import { closeSync, fstatSync, openSync, readSync } from "node:fs"
import { crc32 } from "node:zlib"
import type { Document } from "../../../domain/Document.ts"
import * as SystemReason from "../../systemReason.ts"
import { IndexCorrupt, IndexIo } from "./errors.ts"
import { type Description, DescriptionJson, magic, type Section, stride, trailerBytes } from "./format.ts"

/**
 * An open index file.
 *
 * @category models
 * @since 0.1.0
 */
export interface OpenFile {
  readonly description: Description
  /** Reads a part and compares its checksum. */
  readonly load: (name: string) => Effect.Effect<Uint8Array<ArrayBuffer>, IndexCorrupt | IndexIo>
  /** Gives the passage of a row. It throws when the file has changed behind our back. */
  readonly documents: (
    options?: OpenOptions
  ) => Effect.Effect<(row: number) => Document, IndexCorrupt | IndexIo>
  /** Reads everything once more and compares the checksums, that of the passages included. */
  readonly verify: Effect.Effect<void, IndexCorrupt | IndexIo>
}

/**
 * @category models
 * @since 0.1.0
 */
export interface OpenOptions {
  /** Passages are held in memory up to this many bytes, and read from disk beyond. Default 256 MiB. */
  readonly documentBytesInMemory?: number | undefined
}

/** Every hit is decoded: a schema would take several times as long as the search. */
const decodePassage = (json: string): Document => {
  const passage: unknown = JSON.parse(json)
  if (Array.isArray(passage)) {
    const [id, title, text]: ReadonlyArray<unknown> = passage
    if (typeof id === "string" && typeof title === "string" && typeof text === "string") return { id, title, text }
  }
  throw new Error("a passage is damaged")
}

const decodeDescription = Schema.decodeUnknownOption(DescriptionJson)
const decoder = new TextDecoder()

/** Reads until the buffer is full; false at the end of the file. */
const readFully = (descriptor: number, target: Uint8Array, position: number): boolean => {
  for (let done = 0; done < target.length;) {
    const read = readSync(descriptor, target, done, Math.min(stride, target.length - done), position + done)
    if (read === 0) return false
    done += read
  }
  return true
}

const checksum = (bytes: Uint8Array): number => {
  let crc = 0
  for (let start = 0; start < bytes.length; start += stride) crc = crc32(bytes.subarray(start, start + stride), crc)
  return crc
}

/** Fails with the reason why the file is not what it should be. */
const describe = Effect.fnUntraced(function*(path: string, descriptor: number) {
  const corrupt = (reason: string) => new IndexCorrupt({ path, reason })
  const size = fstatSync(descriptor).size
  const first = new Uint8Array(magic.length)
  if (!readFully(descriptor, first, 0) || !equal(first, magic)) {
    return yield* corrupt("it is not an index that `search-r1 index build` made")
  }
  const trailer = new Uint8Array(trailerBytes)
  if (
    size < 2 * trailerBytes || !readFully(descriptor, trailer, size - trailerBytes) ||
    !equal(trailer.subarray(8), magic)
  ) {
    return yield* corrupt("it is cut off")
  }
  const view = new DataView(trailer.buffer)
  const length = view.getUint32(0, true)
  if (length > size - trailerBytes - magic.length) return yield* corrupt("its description is damaged")
  const footer = new Uint8Array(length)
  readFully(descriptor, footer, size - trailerBytes - length)
  if (crc32(footer) !== view.getUint32(4, true)) return yield* corrupt("its description is damaged")
  const description = decodeDescription(decoder.decode(footer))
  return Option.isSome(description)
    ? description.value
    : yield* corrupt("another version of this program wrote it; build it again")
})

const equal = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i])

/**
 * Opens an index file of any kind; it stays open until the end of the scope.
 *
 * @category reading
 * @since 0.1.0
 */
export const openFile = Effect.fn("IndexFile.open")(function*(
  path: string
): Effect.fn.Return<OpenFile, IndexCorrupt | IndexIo, Scope.Scope> {
  const io = (cause: unknown) => new IndexIo({ path, reason: SystemReason.of(cause) })
  const descriptor = yield* Effect.acquireRelease(
    Effect.try({ try: () => openSync(path, "r"), catch: io }),
    (descriptor) => Effect.sync(() => closeSync(descriptor))
  )
  const description = yield* describe(path, descriptor)

  const sectionOf = (name: string): Effect.Effect<Section, IndexCorrupt> => {
    const section = description.sections[name]
    return section === undefined
      ? Effect.fail(new IndexCorrupt({ path, reason: `the part "${name}" is missing` }))
      : Effect.succeed(section)
  }
  const load = Effect.fnUntraced(function*(name: string) {
    const section = yield* sectionOf(name)
    const bytes = new Uint8Array(section.bytes)
    const whole = yield* Effect.try({ try: () => readFully(descriptor, bytes, section.offset), catch: io })
    if (!whole || checksum(bytes) !== section.crc32) {
      return yield* new IndexCorrupt({ path, reason: `the checksum of its part "${name}" does not match` })
    }
    yield* Effect.yieldNow
    return bytes
  })
  const documents = Effect.fnUntraced(function*(options?: OpenOptions) {
    const offsets = new Float64Array((yield* load("offsets")).buffer)
    const section = yield* sectionOf("documents")
    const inMemory = section.bytes <= (options?.documentBytesInMemory ?? 1 << 28) ? yield* load("documents") : undefined
    const passageBytes = (row: number): Uint8Array => {
      const start = offsets[row] ?? 0
      const end = offsets[row + 1] ?? start
      if (inMemory !== undefined) return inMemory.subarray(start, end)
      const bytes = new Uint8Array(end - start)
      readFully(descriptor, bytes, section.offset + start)
      return bytes
    }
    return (row: number) => decodePassage(decoder.decode(passageBytes(row)))
  })

  return {
    description,
    load,
    documents,
    verify: Effect.gen(function*() {
      for (const [name, section] of Object.entries(description.sections)) {
        const buffer = new Uint8Array(Math.min(stride, section.bytes))
        let crc = 0
        for (let start = 0; start < section.bytes; start += stride) {
          const piece = buffer.subarray(0, Math.min(stride, section.bytes - start))
          const whole = yield* Effect.try({
            try: () => readFully(descriptor, piece, section.offset + start),
            catch: io
          })
          if (!whole) return yield* new IndexCorrupt({ path, reason: "it is cut off" })
          crc = crc32(piece, crc)
          yield* Effect.yieldNow
        }
        if (crc !== section.crc32) {
          return yield* new IndexCorrupt({ path, reason: `the checksum of its part "${name}" does not match` })
        }
      }
    })
  }
})
