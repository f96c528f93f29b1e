/**
 * Writes the words of an index file: postings are gathered in memory, and in pieces on disk where there are many.
 *
 * @since 0.1.0
 */
import { Effect, type FileSystem, type Scope } from "effect"
import type { Document } from "../../../domain/Document.ts"
import type { IndexIo } from "../indexfile/errors.ts"
import type { Numbers, WordsDescription } from "../indexfile/format.ts"
import { adopt, aside, strides, type Writer } from "../indexfile/writer.ts"
import { Bounds } from "./bounds.ts"
import { Pieces } from "./pieces.ts"
import { type Bm25Parameters, PostingsBuilder } from "./postings.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface WordsWriter {
  readonly add: (batch: ReadonlyArray<Document>) => Effect.Effect<void, IndexIo, FileSystem.FileSystem | Scope.Scope>
  /** Writes the sections and gives what the index says of its words. */
  readonly finish: Effect.Effect<
    Pick<WordsDescription, "parameters" | "documentsWithTerms" | "tokens" | "terms" | "postings">,
    IndexIo,
    FileSystem.FileSystem | Scope.Scope
  >
}

const arrays = (writer: Writer, named: Readonly<Record<string, Numbers>>) =>
  Effect.forEach(Object.entries(named), ([name, values]) => writer.array(name, values), { discard: true })

const largeArrays = (large: ReadonlyMap<number, number>) => ({
  largeAt: Float64Array.from(large.keys()),
  largeFrequencies: Int32Array.from(large.values())
})

/**
 * Once `pieceSize` postings are in memory they are put into a file beside the index; `temporary` is the beginning of its
 * name.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  writer: Writer,
  parameters: Bm25Parameters,
  { path, pieceSize, temporary }: { readonly path: string; readonly temporary: string; readonly pieceSize: number }
): WordsWriter => {
  const builder = new PostingsBuilder(parameters)
  let pieces: Pieces | undefined
  const putAside = Effect.gen(function*() {
    pieces ??= new Pieces(yield* aside(`${temporary}.pieces`, path))
    yield* pieces.add(builder.takePiece())
  })

  const writeWhole = Effect.suspend(() => {
    const { blockBounds, blockStarts, frequencies, large, norms, rows, starts, terms, topBounds } = builder.finish()
    return Effect.as(
      arrays(writer, {
        termBytes: terms.bytes,
        termEnds: terms.ends,
        termSlots: terms.slots,
        starts,
        rows,
        frequencies,
        ...largeArrays(large),
        norms,
        blockStarts,
        blockBounds,
        topBounds
      }),
      { terms: terms.size, postings: rows.length }
    )
  })

  const writeMerged = Effect.fnUntraced(function*(pieces: Pieces) {
    yield* putAside
    const terms = builder.finishTerms()
    yield* arrays(writer, { termBytes: terms.bytes, termEnds: terms.ends, termSlots: terms.slots })
    const starts = yield* pieces.starts(terms.size)
    const norms = builder.norms()
    const bounds = new Bounds(starts, norms)
    const frequencies = yield* aside(`${temporary}.frequencies`, path)
    const large = new Map<number, number>()
    yield* arrays(writer, { starts, rows: new Int32Array() })
    yield* pieces.merge(
      starts,
      Effect.fnUntraced(function*(merged) {
        const few = builder.large.among(merged)
        const before = starts[merged.first] ?? 0
        for (const [at, frequency] of few) large.set(before + at, frequency)
        for (let at = 0; at < merged.starts.length - 1; at++) {
          const start = merged.starts[at] ?? 0
          bounds.add(merged.first + at, { ...merged, large: few }, start, merged.starts[at + 1] ?? start)
        }
        for (const bytes of strides(merged.rows)) yield* writer.grow("rows", bytes)
        yield* frequencies.append(merged.frequencies)
      })
    )
    yield* adopt(writer, "frequencies", frequencies)
    const { blockBounds, blockStarts, topBounds } = bounds
    yield* arrays(writer, { ...largeArrays(large), norms, blockStarts, blockBounds, topBounds })
    return { terms: terms.size, postings: starts[terms.size] ?? 0 }
  })

  return {
    add: (batch) =>
      Effect.suspend(() => {
        for (const { text, title } of batch) builder.add(title, text)
        return builder.pending >= pieceSize ? putAside : Effect.void
      }),
    finish: Effect.suspend(() => pieces === undefined ? writeWhole : writeMerged(pieces)).pipe(
      Effect.map(({ postings, terms }) => ({
        parameters,
        documentsWithTerms: builder.documentsWithTerms,
        tokens: builder.tokens,
        terms,
        postings
      }))
    )
  }
}
