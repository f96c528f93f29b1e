/**
 * Builds an index file of words, vectors or both from a stream of passages.
 *
 * @since 0.1.0
 */
// CRC-32 has no counterpart in Effect.
// @effect-diagnostics nodeBuiltinImport:off
import { Effect, FileSystem, type Path, Schema, Stream } from "effect"
import { crc32 } from "node:zlib"
import { contents, type Document } from "../../../domain/Document.ts"
import type { EmbedderSpec } from "../../../domain/EmbedderSpec.ts"
import * as ProbePassages from "../../../domain/ProbePassages.ts"
import * as AtomicFile from "../../atomicFile.ts"
import * as SettledFiles from "../../settledFiles.ts"
import { Growing } from "../bm25/growing.ts"
import type { Bm25Parameters } from "../bm25/postings.ts"
import * as WordsWriter from "../bm25/writeWords.ts"
import { IndexIo, ioOf } from "./errors.ts"
import { type Description, DescriptionJson, magic } from "./format.ts"
import * as Replaceable from "./replaceable.ts"
import { adopt, type Aside, aside, strides, Writer } from "./writer.ts"

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
  /** Postings that are held in memory. Default 16 million: 80 MB, and as much again while they are sorted. */
  readonly pieceSize?: number | undefined
  /** Told the number of passages after each batch. */
  readonly onProgress?: ((documents: number) => Effect.Effect<void>) | undefined
  /** Told what is done once all passages are there. */
  readonly onStage?: ((stage: string) => Effect.Effect<void>) | undefined
}

/** Embeds passages and appends their vectors, which must all have the same length. */
const embedInto = <E>(
  { passages, spec }: VectorsOptions<E>,
  append: Aside["append"],
  path: string
) => {
  let dimensions = 0
  let first = 0
  const probes = new ProbePassages.Chooser()
  return {
    add: Effect.fnUntraced(function*(batch: ReadonlyArray<Document>) {
      const texts = batch.map(contents)
      for (const [at, text] of texts.entries()) probes.offer(first + at, text)
      first += batch.length
      const vectors = yield* passages(texts)
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
      yield* append(rows)
    }),
    description: () => ({ dimensions, embedder: spec, probes: probes.rows() })
  }
}

const defaultPieceSize = 1 << 24

/**
 * Writes an index of batches of passages to `path`, which appears whole or not at all. Passages and vectors are written
 * as they come, postings in pieces that are merged at the end: memory holds the terms, and some 20 bytes a passage. What
 * lies there already is replaced where it is an index.
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
    const io = ioOf(path)
    yield* Replaceable.file(path)
    const { commit, temporary } = yield* io(AtomicFile.stage(path))
    const file = yield* io(fs.open(temporary, { flag: "w" }))
    const writer = new Writer((bytes) => io(file.writeAll(bytes)))
    const words = options.words === null
      ? undefined
      : WordsWriter.make(writer, options.words, {
        path,
        temporary,
        pieceSize: Math.max(1, options.pieceSize ?? defaultPieceSize)
      })
    // vectors wait in a file of their own until the passages are written
    const vectors = options.vectors === null ? undefined : yield* aside(`${temporary}.vectors`, path)
    const embedding = options.vectors === null || vectors === undefined
      ? undefined
      : embedInto(options.vectors, vectors.append, path)
    const ends = new Growing((size) => new Float64Array(size))
    let end = 0
    ends.push(end)
    yield* writer.raw(magic)
    yield* writer.grow("documents", new Uint8Array())
    yield* Stream.runForEach(
      batches,
      Effect.fnUntraced(function*(batch) {
        const pieces = batch.map(encodePassage)
        for (const piece of pieces) ends.push(end += piece.length)
        yield* writer.grow("documents", concat(pieces))
        if (words !== undefined) yield* words.add(batch)
        if (embedding !== undefined) yield* embedding.add(batch)
        yield* options.onProgress?.(ends.length - 1) ?? Effect.void
      })
    )
    yield* writer.array("offsets", new Float64Array())
    for (const [piece, values] of ends.pieces.entries()) {
      for (const bytes of strides(values.subarray(0, ends.lengthOf(piece)))) yield* writer.grow("offsets", bytes)
    }
    yield* options.onStage?.("sorting postings") ?? Effect.void
    const described = words === undefined ? undefined : yield* words.finish
    if (vectors !== undefined) yield* adopt(writer, "vectors", vectors)
    const common = { documents: ends.length - 1, sections: writer.sections } as const
    const embedded = embedding?.description()
    const description: Description = described !== undefined
      ? embedded === undefined
        ? { ...common, format: 2, kind: "bm25", ...described }
        : { ...common, format: 2, kind: "both", ...described, vectors: embedded }
      : embedded !== undefined
      ? { ...common, format: 1, kind: "dense", vectors: embedded }
      : yield* new IndexIo({ path, reason: "an index of neither words nor vectors was asked for" })
    yield* writeEnd(writer, description)
    yield* io(file.sync)
    yield* io(commit)
    return description
  }))
}, SettledFiles.settled)
