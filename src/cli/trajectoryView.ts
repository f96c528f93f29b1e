/**
 * A trajectory as a person reads it.
 *
 * @since 0.1.0
 */
import * as Answer from "../domain/Answer.ts"
import type { ScoredTrajectory } from "../domain/Outcome.ts"
import { plural } from "../domain/Plural.ts"
import { sampledTexts, type Segment, type Trajectory } from "../domain/Trajectory.ts"
import { printable, type Style } from "./style.ts"

const painted = (text: string, style: Style): string =>
  printable(text)
    .replaceAll(/<think>.*?(<\/think>|$)/gs, (block) => style.think(block))
    .replaceAll(/<search>.*?(<\/search>|$)/gs, (block) => style.search(block))
    .replaceAll(/<answer>.*?(<\/answer>|$)/gs, (block) => style.answer(block))

/**
 * A part of a conversation, nothing for its prompt.
 *
 * @category formatting
 * @since 0.1.0
 */
export const segmentText = (segment: Segment, style: Style): string => {
  switch (segment._tag) {
    case "Prompt":
      return ""
    case "Sampled":
      return painted(segment.text, style)
    case "Observation":
      return style.information(printable(segment.text))
  }
}

/**
 * What the policy finally answered, as the fixed preset grades it: the last complete pair in its last turn.
 *
 * @category getters
 * @since 0.1.0
 */
export const prediction = (trajectory: Trajectory): string | null =>
  Answer.last(sampledTexts(trajectory.segments).at(-1) ?? "")

/**
 * The whole conversation behind the prompt: what the policy wrote, and in another colour what it was shown, which no
 * loss is taken over.
 *
 * @category formatting
 * @since 0.1.0
 */
export const trajectoryView = (scored: ScoredTrajectory, style: Style): string => {
  const { trajectory } = scored
  const { question, segments } = trajectory
  const verdict = `reward ${scored.reward.toFixed(2)}`
  return [
    style.heading(printable(question.question)),
    style.faint(
      `gold: ${question.goldenAnswers.map(printable).join(" | ")} · ${
        plural(trajectory.counts.executedSearches, "search", "searches")
      } · ended by ${trajectory.ending}`
    ),
    "",
    segments.map((segment) => segmentText(segment, style)).join("").trim(),
    "",
    scored.reward > 0 ? style.good(verdict) : style.bad(verdict)
  ].join("\n")
}
