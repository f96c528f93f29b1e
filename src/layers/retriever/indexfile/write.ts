/**
 * Builds an index file of words, vectors or both from a stream of passages.
 *
 * @since 0.1.0
 */
// CRC-32 has no counterpart in Effect.
// @effect-diagnostics nodeBuiltinImport:off
import { Effect, FileSystem, Option, type Path, Schema, Stream } from "effect"
import { crc32 } from "node:zlib"
import { contents, type Document } from "../../../domain/Document.ts"
import type { EmbedderSpec } from "../../../domain/EmbedderSpec.ts"
import * as AtomicFile from "../../atomicFile.ts"
import { type Bm25Parameters, type Postings, PostingsBuilder } from "../bm25/postings.ts"
import { IndexIo } from "./errors.ts"
import {
  type Description,
  DescriptionJson,
  magic,
  type Numbers,
  type Section,
  stride,
  type VectorsDescription
} from "./format.ts"

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
  postings: Postings
): ReadonlyArray<readonly [string, Numbers]> => [
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
 * What makes vectors of passages, and what the index says of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface VectorsOptions<E> {
  readonly passages: (texts: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<Float32Array>, E>
  readonly spec: EmbedderSpec
}

/**
 * @category models
 * @since 0.1.0
 */
export interface WriteOptions<E> {
  /** How words are scored; null leaves them out. */
  readonly words: Bm25Parameters | null
  readonly vectors: VectorsOptions<E> | null
  /** Told the number of passages after each batch. */
  readonly onProgress?: ((documents: number) => Effect.Effect<void>) | undefined
}

/** Vectors wait in a file of their own until the passages are written. */
const vectorFile = Effect.fnUntraced(function*(temporary: string) {
  const fs = yield* FileSystem.FileSystem
  const path = `${temporary}.vectors`
  const file = yield* fs.open(path, { flag: "w+" })
  yield* Effect.addFinalizer(() => Effect.ignore(fs.remove(path, { force: true })))
  return file
})

/** Embeds passages and appends their vectors, which must all have the same length. */
const embedInto = <E>(
  { passages, spec }: VectorsOptions<E>,
  append: (bytes: Uint8Array) => Effect.Effect<void, IndexIo>,
  path: string
) => {
  let dimensions = 0
  return {
    add: Effect.fnUntraced(function*(batch: ReadonlyArray<Document>) {
      const vectors = yield* passages(batch.map(contents))
      dimensions ||= vectors[0]?.length ?? 0
      const rows = new Float32Array(batch.length * dimensions)
      for (let row = 0; row < batch.length; row++) {
        const vector = vectors[row]
        if (vector === undefined || vector.length !== dimensions || dimensions === 0) {
          const reason = `the embedder gave vectors of ${dimensions} and of ${vector?.length ?? 0} dimensions`
          return yield* new IndexIo({ path, reason })
        }
        rows.set(vector, row * dimensions)
      }
      yield* append(new Uint8Array(rows.buffer))
    }),
    description: () => ({ dimensions, embedder: spec })
  }
}

/**
 * Writes an index of batches of passages to `path`, which appears whole or not at all. Passages and vectors are written
 * as they come; terms and postings are kept in memory until the end.
 *
 * @category writing
 * @since 0.1.0
 */
export const writeIndex = Effect.fn("IndexFile.write")(function*<E, R, E2>(
  batches: Stream.Stream<ReadonlyArray<Document>, E, R>,
  path: string,
  options: WriteOptions<E2>
): Effect.fn.Return<Description, E | E2 | IndexIo, R | FileSystem.FileSystem | Path.Path> {
  return yield* Effect.scoped(Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const io = Effect.mapError((error: { readonly message: string }) => new IndexIo({ path, reason: error.message }))
    const { commit, temporary } = yield* io(AtomicFile.stage(path))
    const file = yield* io(fs.open(temporary, { flag: "w" }))
    const writer = new Writer((bytes) => io(file.writeAll(bytes)))
    const builder = options.words === null ? undefined : new PostingsBuilder(options.words)
    const aside = options.vectors === null ? undefined : yield* io(vectorFile(temporary))
    const embedding = options.vectors === null || aside === undefined
      ? undefined
      : embedInto(options.vectors, (bytes) => io(aside.writeAll(bytes)), path)
    const ends: Array<number> = [0]
    let end = 0
    yield* writer.raw(magic)
    yield* writer.grow("documents", new Uint8Array())
    yield* Stream.runForEach(
      batches,
      Effect.fnUntraced(function*(batch) {
        const pieces = batch.map(encodePassage)
        for (const document of batch) builder?.add(document.title, document.text)
        for (const piece of pieces) ends.push(end += piece.length)
        yield* writer.grow("documents", concat(pieces))
        if (embedding !== undefined) yield* embedding.add(batch)
        yield* options.onProgress?.(ends.length - 1) ?? Effect.void
      })
    )
    yield* writer.array("offsets", Float64Array.from(ends))
    const postings = builder?.finish()
    if (postings !== undefined) {
      for (const [name, values] of arraysOf(postings)) yield* writer.array(name, values)
    }
    if (aside !== undefined) {
      yield* writer.array("vectors", new Float32Array())
      yield* io(aside.seek(0n, "start"))
      while (true) {
        const bytes = yield* io(aside.readAlloc(1 << 20))
        if (Option.isNone(bytes)) break
        yield* writer.grow("vectors", bytes.value)
      }
    }
    const common = { format: 1, documents: ends.length - 1, sections: writer.sections } as const
    const vectors = embedding?.description()
    const description = postings !== undefined && options.words !== null
      ? describeWords(common, options.words, postings, vectors)
      : vectors !== undefined
      ? { ...common, kind: "dense" as const, vectors }
      : yield* new IndexIo({ path, reason: "an index of neither words nor vectors was asked for" })
    yield* writeEnd(writer, description)
    yield* io(file.sync)
    yield* io(commit)
    return description
  }))
})

const describeWords = (
  common: Pick<Description, "format" | "documents" | "sections">,
  parameters: Bm25Parameters,
  postings: Postings,
  vectors: VectorsDescription["vectors"] | undefined
): Description => {
  const words = {
    ...common,
    analyzer: "english",
    parameters,
    tokens: postings.tokens,
    terms: postings.terms.size,
    postings: postings.rows.length
  } as const
  return vectors === undefined ? { ...words, kind: "bm25" } : { ...words, kind: "both", vectors }
}
