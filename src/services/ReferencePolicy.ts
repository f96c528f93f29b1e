/**
 * The frozen policy that a KL term holds the trained one to.
 *
 * @since 0.1.0
 */
import { Context, type Effect } from "effect"
import type { PolicyError, SequenceLogProbs } from "./Policy.ts"

/**
 * Log-probabilities under the parameters that the run started from. Only runs with a KL term need it.
 *
 * @category services
 * @since 0.1.0
 */
export class ReferencePolicy extends Context.Service<ReferencePolicy, {
  /** As `Policy.logProbs`. */
  logProbs(
    sequences: ReadonlyArray<Int32Array>,
    options?: { readonly temperature?: number | undefined }
  ): Effect.Effect<ReadonlyArray<SequenceLogProbs>, PolicyError>
}>()("effect-search-r1/services/ReferencePolicy") {}
