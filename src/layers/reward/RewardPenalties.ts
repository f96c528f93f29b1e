/**
 * Penalties for trajectories that give no answer or never search (arXiv 2602.19526; spec §8): without them a reward that
 * gives a wrong and a missing answer the same 0 teaches some policies not to answer.
 *
 * @since 0.1.0
 */
import { Effect, Layer } from "effect"
import { extractAnswer, type Scopes } from "../../domain/FormatReward.ts"
import * as Presets from "../../domain/Presets.ts"
import { fromSegments } from "../../domain/Transcript.ts"
import { Reward } from "../../services/Reward.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Deducted when there is no answer. Default 0.1. */
  readonly noAnswer?: number | undefined
  /** Deducted when no search was executed. Default 0.1. */
  readonly noSearch?: number | undefined
  /** Where the answer is looked for; the default is the policy's own text. */
  readonly answerScope?: Scopes["answerScope"] | undefined
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (options?: Options): Reward["Service"] => {
  const { noAnswer = 0.1, noSearch = 0.1, answerScope = Presets.fixed.answerScope } = options ?? {}
  return Reward.of({
    score: (trajectory) =>
      Effect.sync(() => {
        const answered = extractAnswer(fromSegments(trajectory.segments), answerScope) !== null
        const searched = trajectory.counts.executedSearches > 0
        const components = { noAnswer: answered ? 0 : -noAnswer, noSearch: searched ? 0 : -noSearch }
        return {
          total: components.noAnswer + components.noSearch,
          components,
          metrics: { answered: answered ? 1 : 0, searched: searched ? 1 : 0 }
        }
      })
  })
}

/**
 * Penalises missing answers and missing searches. A part of a `RewardComposite`, beside a reward of the answer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Reward> => Layer.succeed(Reward, make(options))
