/**
 * The format-aware reward of the reference's `main_ppo_format` (spec §3.5, Eq. 3 of arXiv 2505.15117).
 *
 * @since 0.1.0
 */
import { Effect, Layer } from "effect"
import * as FormatReward from "../../domain/FormatReward.ts"
import * as Presets from "../../domain/Presets.ts"
import { fromSegments } from "../../domain/Transcript.ts"
import { Reward } from "../../services/Reward.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Weights of the table; the default is 1, 0.2, 0.1 and 0, the reference's v0.3 scripts. */
  readonly weights?: Partial<FormatReward.Weights> | undefined
  /** Which text is judged; the default is the policy's own. */
  readonly scopes?: FormatReward.Scopes | undefined
  /**
   * Whether the outcome (exact match) is part of the reward. `false` leaves the corrections for format and retrieval
   * alone, as a part of a `RewardComposite` beside another outcome. Default `true`.
   */
  readonly outcome?: boolean | undefined
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (options?: Options): Reward["Service"] => {
  const weights = { ...FormatReward.v03, ...options?.weights }
  const scopes = options?.scopes ?? Presets.fixed
  const outcome = options?.outcome ?? true
  return Reward.of({
    score: (trajectory) =>
      Effect.sync(() => {
        const row = FormatReward.compute(
          fromSegments(trajectory.segments),
          trajectory.question.goldenAnswers,
          weights,
          scopes
        )
        const corrections = { format: row.format, retrieval: row.retrieval }
        return {
          total: outcome ? FormatReward.total(row) : row.format + row.retrieval,
          components: outcome ? { exactMatch: row.outcome, ...corrections } : corrections,
          metrics: {
            em: row.correct ? 1 : 0,
            answered: row.answer === null ? 0 : 1,
            validFormat: row.flaw === null ? 1 : 0
          }
        }
      })
  })
}

/**
 * Rewards the outcome and the format.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Reward> => Layer.succeed(Reward, make(options))
