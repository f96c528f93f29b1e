/**
 * Vectors on disk answer the queries of the embedder that made them, and of no other.
 *
 * @since 0.2.0
 */
import { Effect } from "effect"
import * as EmbedderSpec from "../../domain/EmbedderSpec.ts"
import { shellPath, shellWord } from "../../domain/ShellWord.ts"
import type { Embedder } from "../../services/Embedder.ts"
import { type RetrieverError, RetrieverUnexpectedShape } from "../../services/Retriever.ts"
import { poolingOf, prefixesOf } from "../embedder/conventions.ts"
import { EmbedderMismatch } from "./indexfile/errors.ts"

/**
 * A passage of an index: the text that was embedded, and what it became.
 *
 * @category models
 * @since 0.2.0
 */
export interface Stored {
  readonly text: string
  readonly vector: Float32Array
}

/**
 * What an index says of its vectors.
 *
 * @category models
 * @since 0.2.0
 */
export interface Recorded {
  readonly path: string
  readonly embedder: EmbedderSpec.EmbedderSpec
  readonly dimensions: number
  /** What to do where they are another embedder's. */
  readonly mend: (given: string | undefined) => string
}

/** Passages that a model embeds, the shortest: one may cut long texts where another does not. */
const mostForModel = 8

/**
 * The least cosine between the vectors of one text. Hashed words come out the same to the last bits. A model gives some
 * thousandths less for other precisions of weights, stored halves or bytes, and neighbours in a batch, another one far
 * less.
 */
const leastCosine = { hashing: 0.9999, http: 0.98, transformers: 0.98 } as const

/** Below it a model has other weights or another precision, if not another name. */
const likelyCosine = 0.998

const cosine = (a: Float32Array, b: Float32Array): number => {
  let product = 0
  let squaresA = 0
  let squaresB = 0
  for (const [at, value] of a.entries()) {
    const other = b[at] ?? 0
    product += value * other
    squaresA += value * value
    squaresB += other * other
  }
  return squaresA === 0 && squaresB === 0
    ? 1
    : squaresA === 0 || squaresB === 0
    ? 0
    : product / Math.sqrt(squaresA * squaresB)
}

const beginningOf = (text: string): string => {
  const words = text.replaceAll(/\s+/g, " ").trim()
  return words.length <= 60 ? words : `${words.slice(0, 60).replace(/[\uD800-\uDBFF]$/, "")}…`
}

const nameOf = (spec: EmbedderSpec.EmbedderSpec): string => EmbedderSpec.format(spec, poolingOf)

/** What a search would be told to build an index with: a command, where the embedder can be named. */
const buildCommand = (engine: string, path: string) => (given: string | undefined): string =>
  "Searches would find the wrong passages. Open it with the embedder that built it, or build it again: search-r1 index " +
  `build CORPUS --engine ${engine} --embedder ${given === undefined ? "EMBEDDER" : shellWord(given)} --out ${
    shellPath(path)
  }`

/**
 * What is recorded in an index at `path` that `search-r1 index build --engine …` made.
 *
 * @category constructors
 * @since 0.2.0
 */
export const recorded = (
  path: string,
  engine: "dense" | "both" | "lance",
  { dimensions, embedder }: Pick<Recorded, "dimensions" | "embedder">
): Recorded => ({ path, embedder, dimensions, mend: buildCommand(engine, path) })

/**
 * Embeds some passages of an index again and fails where the vectors are others, or where queries would get other words
 * before them than the index' model wants. Differences that precision explains are logged.
 *
 * @category guards
 * @since 0.2.0
 */
export const expectEmbedder = Effect.fn("StoredVectors.expectEmbedder")(function*(
  index: Recorded,
  embedder: Embedder["Service"],
  stored: ReadonlyArray<Stored>
): Effect.fn.Return<void, EmbedderMismatch | RetrieverError> {
  const { dimensions, embedder: spec, mend, path } = index
  const givenSpec = embedder.spec === undefined ? undefined : nameOf(embedder.spec)
  const mismatch = (reason: string) =>
    new EmbedderMismatch({
      path,
      built: nameOf(spec),
      given: givenSpec ?? embedder.name,
      reason,
      mend: mend(givenSpec)
    })
  if (stored.length === 0) return
  const probes = spec._tag === "hashing" ? stored : shortest(stored)
  const vectors = yield* embedder.passages(probes.map(({ text }) => text))
  if (vectors.length !== probes.length) {
    const reason = `${vectors.length} vectors for ${probes.length} passages`
    return yield* new RetrieverUnexpectedShape({ retriever: embedder.name, reason })
  }
  let least = 1
  for (const [at, { text, vector }] of probes.entries()) {
    const other = vectors[at] ?? new Float32Array()
    if (other.length !== dimensions) {
      return yield* mismatch(`its vectors have ${other.length} dimensions, and those of the index ${dimensions}`)
    }
    const same = cosine(vector, other)
    if (!(same >= leastCosine[spec._tag])) {
      return yield* mismatch(
        `of "${beginningOf(text)}" they have a cosine of ${same.toFixed(4)}, where 1 is the same`
      )
    }
    least = Math.min(least, same)
  }
  const prefix = spec._tag === "hashing" ? "" : prefixesOf(spec.model).query
  if (embedder.queryPrefix !== undefined && embedder.queryPrefix !== prefix) {
    return yield* mismatch(
      `before queries it puts ${JSON.stringify(embedder.queryPrefix)}, and the model of the index wants ${
        JSON.stringify(prefix)
      } (told from the model's name)`
    )
  }
  if (least < likelyCosine) {
    yield* Effect.logWarning(
      `${path} was built by ${nameOf(spec)}, and ${givenSpec ?? embedder.name} makes slightly other vectors (cosine ${
        least.toFixed(4)
      } for a passage of the index): other weights or another precision. What is found may differ`
    )
  }
})

/** The shortest passages; one beyond ASCII among them where there is one. */
const shortest = (stored: ReadonlyArray<Stored>): ReadonlyArray<Stored> => {
  const [first, ...others] = stored
  const rest = others.toSorted((a, b) => a.text.length - b.text.length)
  return first === undefined ? [] : [first, ...rest].slice(0, mostForModel)
}
