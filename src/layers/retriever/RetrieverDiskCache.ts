/**
 * Remembers answers on disk, for the next run.
 *
 * @since 0.1.0
 */
import { Clock, Duration, Effect, FileSystem, type Layer, Option, Path, Schema } from "effect"
import { ScoredDocument } from "../../domain/Document.ts"
import { Retriever } from "../../services/Retriever.ts"
import * as AtomicFile from "../atomicFile.ts"
import { sha256 } from "../hash.ts"
import * as SystemReason from "../systemReason.ts"
import * as UserCache from "../userCache.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Unless given, `answers` in the user's cache directory. */
  readonly directory?: string | undefined
  /** Separates answers that must not be mixed, such as those of two corpora. Unless given, the retriever's name. */
  readonly namespace?: string | undefined
  /** How long an answer holds. Default for ever. */
  readonly timeToLive?: Duration.Input | undefined
}

const Entry = Schema.fromJsonString(Schema.Struct({
  namespace: Schema.String,
  query: Schema.String,
  topK: Schema.Int,
  /** Milliseconds since the epoch. */
  written: Schema.Finite,
  documents: Schema.Array(ScoredDocument)
}))

const decode = Schema.decodeUnknownOption(Entry)
const encode = Schema.encodeEffect(Entry)

/** Files read or written at once for one call. */
const concurrency = 8

/**
 * Keeps each answer in a file of its own, written atomically; a damaged or foreign file counts as no answer. Failures
 * are not kept. A directory that cannot be written costs a warning and no search.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options?: Options
): Layer.Layer<Retriever, never, Retriever | FileSystem.FileSystem | Path.Path> =>
  Retriever.decorate(
    Effect.fnUntraced(function*(inner) {
      const fs = yield* FileSystem.FileSystem
      const paths = yield* Path.Path
      const files = yield* Effect.context<FileSystem.FileSystem | Path.Path>()
      const directory = options?.directory ?? paths.join(yield* UserCache.directory, "answers")
      const namespace = options?.namespace ?? inner.name
      const timeToLive = Duration.toMillis(Duration.fromInputUnsafe(options?.timeToLive ?? Duration.infinity))
      let warned = false

      const fileOf = (query: string, topK: number): string => {
        const hash = sha256(`${namespace}\n${topK}\n${query}`)
        return paths.join(directory, hash.slice(0, 2), `${hash}.json`)
      }

      const read = Effect.fnUntraced(function*(query: string, topK: number) {
        const content = yield* fs.readFileString(fileOf(query, topK)).pipe(Effect.option)
        const now = yield* Clock.currentTimeMillis
        return Option.flatMap(content, decode).pipe(
          Option.filter((entry) =>
            entry.namespace === namespace && entry.query === query && entry.topK === topK &&
            now - entry.written < timeToLive
          ),
          Option.map((entry) => entry.documents),
          Option.getOrUndefined
        )
      })

      const write = Effect.fnUntraced(
        function*(query: string, topK: number, documents: ReadonlyArray<ScoredDocument>) {
          const content = yield* encode({ namespace, query, topK, written: yield* Clock.currentTimeMillis, documents })
          yield* AtomicFile.writeString(fileOf(query, topK), content, { durable: false })
        },
        Effect.provide(files),
        Effect.catch((error) => {
          if (warned) return Effect.void
          warned = true
          return Effect.logWarning(`answers cannot be kept in ${directory}: ${SystemReason.of(error)}`)
        })
      )

      return Retriever.fromSearchMany(
        inner.name,
        Effect.fn("RetrieverDiskCache.searchMany")(function*(queries, { topK }) {
          const known = yield* Effect.forEach(queries, (query) => read(query, topK), { concurrency })
          const missing = [...new Set(queries.filter((_, index) => known[index] === undefined))]
          if (missing.length === 0) return known.map((documents) => documents ?? [])
          const [first] = missing
          const answers = missing.length === 1 && first !== undefined
            ? [yield* inner.search(first, { topK })]
            : yield* inner.searchMany(missing, { topK })
          const fresh = new Map(missing.map((query, index) => [query, answers[index] ?? []] as const))
          yield* Effect.forEach(fresh, ([query, documents]) => write(query, topK, documents), {
            concurrency,
            discard: true
          })
          return queries.map((query, index) => known[index] ?? fresh.get(query) ?? [])
        })
      )
    })
  )
