/**
 * What a policy searches that a run has trained: what its flags name, else what the run searched.
 *
 * @since 0.2.0
 */
import { Effect, FileSystem, type Layer, Option, type Path } from "effect"
import type { CliError } from "effect/cli"
import type { Retriever } from "../services/Retriever.ts"
import { type RetrieverInput, retrieverLayer } from "./retrieverFlags.ts"
import type { Run } from "./trainedPolicy.ts"
import { retrieverOf } from "./trainServices.ts"
import { userError } from "./userError.ts"

/**
 * A retriever, and where it is from in words.
 *
 * @category models
 * @since 0.2.0
 */
export interface Chosen {
  readonly layer: Layer.Layer<Retriever, CliError.UserError, FileSystem.FileSystem | Path.Path>
  readonly told: string
}

/** What flags name to search, in the order in which they count. */
const named = ({ corpus, elastic, index, remote, simulated, web }: RetrieverInput): string | undefined =>
  [index, corpus, web, elastic, simulated, remote].flatMap((flag) =>
    flag === undefined ? [] : Option.toArray<string>(flag)
  )[0]

/**
 * Chooses. Fails where nothing is named and what the run searched is not there any more.
 *
 * @category constructors
 * @since 0.2.0
 */
export const choose = Effect.fnUntraced(function*(
  input: RetrieverInput,
  { config, folder }: Run
): Effect.fn.Return<Chosen, CliError.UserError, FileSystem.FileSystem> {
  const flagged = named(input)
  if (flagged !== undefined) return { layer: retrieverLayer(input), told: `searching ${flagged}` }
  const { corpus, kind, url } = config.retriever
  const own = (place: string): Chosen => ({
    layer: retrieverOf(config),
    told: `searching what the run searched, ${place} (${kind})`
  })
  if (kind === "remote") return own(url ?? "")
  const fs = yield* FileSystem.FileSystem
  if (corpus !== null && (yield* Effect.orElseSucceed(fs.exists(corpus), () => false))) return own(corpus)
  return yield* userError(
    corpus === null
      ? `${folder.directory} names no corpus to search.`
      : `${corpus}, which the run searched, is not there any more.`,
    "Name a corpus with --corpus FILE, an index with --index FILE or a server with --remote URL."
  )
})
