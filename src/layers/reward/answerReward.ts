/**
 * What the rewards of an answer share: extraction, the three scores, and the metrics reported with any of them.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import * as Answer from "../../domain/Answer.ts"
import { extractAnswer, type Scopes } from "../../domain/FormatReward.ts"
import * as Presets from "../../domain/Presets.ts"
import { fromSegments } from "../../domain/Transcript.ts"
import { Reward } from "../../services/Reward.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Where the answer is looked for; the default is the policy's own text. */
  readonly answerScope?: Scopes["answerScope"] | undefined
}

/**
 * A reward that is a function of the answer's scores.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  component: string,
  pick: (scores: Answer.Scores) => number,
  options?: Options
): Reward["Service"] => {
  const scope = options?.answerScope ?? Presets.fixed.answerScope
  return Reward.of({
    score: (trajectory) =>
      Effect.sync(() => {
        const prediction = extractAnswer(fromSegments(trajectory.segments), scope)
        const scores = Answer.scores(prediction, trajectory.question.goldenAnswers)
        const value = pick(scores)
        return {
          total: value,
          components: { [component]: value },
          metrics: { ...scores, answered: prediction === null ? 0 : 1 }
        }
      })
  })
}
