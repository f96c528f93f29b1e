/** Random trajectories and micro-batches for tests, from a seed. */
import { ScoredTrajectory } from "../../src/domain/Outcome.ts"
import * as Prng from "../../src/domain/Prng.ts"
import { Question } from "../../src/domain/Question.ts"
import { type Segment, Trajectory } from "../../src/domain/Trajectory.ts"

export const segmentOf = (
  kind: Segment["_tag"],
  length: number,
  options?: { readonly logProb?: number; readonly first?: number }
): Segment => {
  const ids = Int32Array.from({ length }, (_, index) => (options?.first ?? 100) + index)
  switch (kind) {
    case "Prompt":
      return { _tag: "Prompt", text: "p".repeat(length), ids }
    case "Sampled":
      return {
        _tag: "Sampled",
        text: "s".repeat(length),
        ids,
        logProbs: new Float32Array(length).fill(options?.logProb ?? -0.5),
        surplus: "",
        finish: "stop",
        policyVersion: 0
      }
    case "Observation":
      return {
        _tag: "Observation",
        text: "o".repeat(length),
        ids,
        source: { _tag: "Search", query: "q", documents: [], truncated: 0 }
      }
  }
}

export const scoredTrajectory = (options: {
  readonly promptKey: string
  readonly sample?: number
  readonly questionId?: string
  readonly reward: number
  readonly segments: ReadonlyArray<Segment>
}): ScoredTrajectory =>
  new ScoredTrajectory({
    trajectory: new Trajectory({
      promptKey: options.promptKey,
      sample: options.sample ?? 0,
      question: new Question({
        id: options.questionId ?? "test_0",
        dataSource: "nq",
        question: "who?",
        goldenAnswers: ["x"]
      }),
      segments: options.segments,
      ending: "answer",
      counts: { turns: 1, validActions: 1, invalidActions: 0, requestedSearches: 0, executedSearches: 0 }
    }),
    reward: options.reward,
    components: { em: options.reward },
    metrics: {}
  })

/** A trajectory of one to three turns with lengths and segments of a seed. */
export const randomScored = (seed: string, promptKey: string, sample: number): ScoredTrajectory => {
  const prng = Prng.make(seed)
  const segments: Array<Segment> = [segmentOf("Prompt", 1 + prng.below(5))]
  const turns = 1 + prng.below(3)
  for (let turn = 0; turn < turns; turn++) {
    segments.push(segmentOf("Sampled", 1 + prng.below(6), { logProb: -prng.float() * 3, first: prng.below(1000) }))
    if (turn + 1 < turns) segments.push(segmentOf("Observation", 1 + prng.below(8)))
  }
  return scoredTrajectory({ promptKey, sample, reward: prng.below(2), segments })
}

/** Uniform floats in [low, high). */
export const uniform = (prng: Prng.Prng, length: number, low: number, high: number): Float32Array =>
  Float32Array.from({ length }, () => low + (high - low) * prng.float())
