/**
 * One grade for a transcript: everything that is reported about it.
 *
 * @since 0.1.0
 */
import * as Answer from "./Answer.ts"
import { extractAnswer, flaw, type Scopes } from "./FormatReward.ts"
import { type Counts, counts, type Transcript } from "./Transcript.ts"

/**
 * The grade of a transcript. `prediction` is `null` where there is no answer, `flaw` says why the format is not valid
 * and is `null` where it is.
 *
 * @category models
 * @since 0.1.0
 */
export interface Grade extends Answer.Scores {
  readonly prediction: string | null
  readonly flaw: string | null
  readonly counts: Counts
}

/**
 * Grades a transcript against its golden answers.
 *
 * @category constructors
 * @since 0.1.0
 */
export const grade = (transcript: Transcript, goldenAnswers: ReadonlyArray<string>, scopes: Scopes): Grade => {
  const prediction = extractAnswer(transcript, scopes.answerScope)
  return {
    prediction,
    ...Answer.scores(prediction, goldenAnswers),
    flaw: flaw(transcript, scopes.formatScope),
    counts: counts(transcript)
  }
}
