/**
 * Builds an index file from a stream of passages.
 *
 * @since 0.1.0
 */
// CRC-32 has no counterpart in Effect.
// @effect-diagnostics nodeBuiltinImport:off
import { Effect, FileSystem, type Path, Schema, Stream } from "effect"
import { crc32 } from "node:zlib"
import type { Document } from "../../../domain/Document.ts"
import * as AtomicFile from "../../atomicFile.ts"
import { IndexIo } from "../indexfile/errors.ts"
import { type Description, DescriptionJson, magic, type Numbers, type Section, stride } from "./format.ts"
import { type Bm25Parameters, defaultParameters, type Postings, PostingsBuilder } from "./postings.ts"

/** Appends to a file and keeps account of its sections. */
class Writer {
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

  array(name: string, values: Numbers): Effect.Effect<void, IndexIo> {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    const strides = Array.from({ length: Math.max(1, Math.ceil(bytes.length / stride)) }, (_, index) => index * stride)
    return Effect.suspend(() => this.raw(new Uint8Array((8 - this.position % 8) % 8))).pipe(
      Effect.andThen(Effect.forEach(
        strides,
        (start) => Effect.suspend(() => this.grow(name, bytes.subarray(start, start + stride))),
        { discard: true }
      ))
    )
  }
}

const encoder = new TextEncoder()

/** JSON keeps what UTF-8 alone cannot: a lone surrogate is escaped. */
const encodePassage = ({ id, text, title }: Document): Uint8Array => encoder.encode(JSON.stringify([id, title, text]))

const concat = (pieces: ReadonlyArray<Uint8Array>): Uint8Array => {
  const bytes = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0))
  let offset = 0
  for (const piece of pieces) {
    bytes.set(piece, offset)
    offset += piece.length
  }
  return bytes
}

const arraysOf = (
  postings: Postings,
  offsets: Float64Array<ArrayBuffer>
): ReadonlyArray<readonly [string, Numbers]> => [
  ["offsets", offsets],
  ["termBytes", postings.terms.bytes],
  ["termEnds", postings.terms.ends],
  ["termSlots", postings.terms.slots],
  ["starts", postings.starts],
  ["rows", postings.rows],
  ["frequencies", postings.frequencies],
  ["norms", postings.norms],
  ["blockStarts", postings.blockStarts],
  ["blockBounds", postings.blockBounds],
  ["topBounds", postings.topBounds]
]

const writeEnd = Effect.fnUntraced(function*(writer: Writer, description: Description) {
  const footer = encoder.encode(yield* Effect.orDie(Schema.encodeEffect(DescriptionJson)(description)))
  const trailer = new DataView(new ArrayBuffer(8))
  trailer.setUint32(0, footer.length, true)
  trailer.setUint32(4, crc32(footer), true)
  yield* writer.raw(footer)
  yield* writer.raw(new Uint8Array(trailer.buffer))
  yield* writer.raw(magic)
})

/**
 * @category models
 * @since 0.1.0
 */
export interface BuildOptions {
  readonly parameters?: Bm25Parameters | undefined
  /** Told the number of passages after each batch. */
  readonly onProgress?: ((documents: number) => Effect.Effect<void>) | undefined
}

/**
 * Builds an index from batches of passages and writes it to `path`, which appears whole or not at all. Passages are
 * written as they come; terms and postings are kept in memory until the end.
 *
 * @category writing
 * @since 0.1.0
 */
export const build = Effect.fn("Bm25Index.build")(function*<E, R>(
  batches: Stream.Stream<ReadonlyArray<Document>, E, R>,
  path: string,
  options?: BuildOptions
): Effect.fn.Return<Description, E | IndexIo, R | FileSystem.FileSystem | Path.Path> {
  return yield* Effect.scoped(Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const io = Effect.mapError((error: { readonly message: string }) => new IndexIo({ path, reason: error.message }))
    const parameters = options?.parameters ?? defaultParameters
    const { commit, temporary } = yield* io(AtomicFile.stage(path))
    const file = yield* io(fs.open(temporary, { flag: "w" }))
    const writer = new Writer((bytes) => io(file.writeAll(bytes)))
    const builder = new PostingsBuilder(parameters)
    const ends: Array<number> = [0]
    let end = 0
    yield* writer.raw(magic)
    yield* writer.grow("documents", new Uint8Array())
    yield* Stream.runForEach(batches, (batch) =>
      Effect.suspend(() => {
        const pieces = batch.map(encodePassage)
        for (const document of batch) builder.add(document.title, document.text)
        for (const piece of pieces) ends.push(end += piece.length)
        return writer.grow("documents", concat(pieces)).pipe(
          Effect.andThen(options?.onProgress?.(builder.documents) ?? Effect.void)
        )
      }))
    const postings = builder.finish()
    for (const [name, values] of arraysOf(postings, Float64Array.from(ends))) yield* writer.array(name, values)
    const description: Description = {
      format: 1,
      kind: "bm25",
      analyzer: "english",
      parameters,
      documents: postings.documents,
      tokens: postings.tokens,
      terms: postings.terms.size,
      postings: postings.rows.length,
      sections: writer.sections
    }
    yield* writeEnd(writer, description)
    yield* io(file.sync)
    yield* io(commit)
    return description
  }))
})
