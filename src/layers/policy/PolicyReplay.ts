/**
 * A policy that replays recorded trajectories token by token, to run everything around a model again exactly as it was.
 *
 * @since 0.1.0
 */
import { Effect, Layer } from "effect"
import { type SampledSegment, type Segment, tokenIds, type Trajectory } from "../../domain/Trajectory.ts"
import { type Generation, Policy, PolicyUnavailable, ReplayMismatch } from "../../services/Policy.ts"

/**
 * How strictly the replay watches what it is shown: `check` fails when an observation differs from the recorded one,
 * `ignore` goes on (another retriever, the same policy).
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly observations?: "check" | "ignore" | undefined
  readonly contextLength?: number | undefined
}

const key = (promptKey: string, sample: number) => `${sample}@${promptKey}`

const equal = (a: Int32Array, b: Int32Array): boolean =>
  a.length === b.length && a.every((id, index) => id === b[index])

/** How many leading segments make up `tokens` tokens; -1 where none do. */
const positionAfter = (segments: ReadonlyArray<Segment>, tokens: number): number => {
  let count = 0
  for (const [index, segment] of segments.entries()) {
    count += segment.ids.length
    if (count === tokens && segments[index + 1]?.ids.length !== 0) return index + 1
  }
  return -1
}

const unknown = (length: number) => new Float32Array(length).fill(Number.NaN)

const recorded = (segment: SampledSegment): Generation => ({
  ids: segment.ids,
  logProbs: segment.logProbs ?? unknown(segment.ids.length),
  modelLogProbs: unknown(segment.ids.length),
  text: segment.text,
  surplus: segment.surplus,
  finish: segment.finish,
  policyVersion: segment.policyVersion
})

/**
 * A policy over recordings, found by prompt key and sample number. A rollout that asks for more than was recorded, or
 * (with `observations: "check"`, the default) is shown something else, fails with `ReplayMismatch`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (recordings: Iterable<Trajectory>, options?: Options): Layer.Layer<Policy> =>
  Layer.sync(Policy, () => {
    const byKey = new Map<string, Trajectory>()
    for (const trajectory of recordings) byKey.set(key(trajectory.promptKey, trajectory.sample), trajectory)
    const check = (options?.observations ?? "check") === "check"
    return Policy.of({
      contextLength: options?.contextLength ?? Number.MAX_SAFE_INTEGER,
      version: Effect.succeed(0),
      session: Effect.fnUntraced(function*({ ids, promptKey, sample }) {
        const mismatch = (reason: string) => new ReplayMismatch({ promptKey, reason })
        const trajectory = byKey.get(key(promptKey, sample))
        if (trajectory === undefined) return yield* mismatch(`sample ${sample} was not recorded`)
        const { segments } = trajectory
        let next = positionAfter(segments, ids.length)
        if (next === -1 || (check && !equal(tokenIds(segments.slice(0, next)), ids))) {
          return yield* mismatch("the session does not start with the recorded tokens")
        }
        return {
          append: (observed) =>
            Effect.suspend(() => {
              const segment = segments[next++]
              if (segment?._tag !== "Observation") return Effect.fail(mismatch(`segment ${next} is no observation`))
              return check && !equal(segment.ids, observed)
                ? Effect.fail(mismatch(`segment ${next} is another observation`))
                : Effect.void
            }),
          generate: () =>
            Effect.suspend(() => {
              const segment = segments[next++]
              return segment?._tag === "Sampled"
                ? Effect.succeed(recorded(segment))
                : Effect.fail(mismatch(`segment ${next} was not sampled`))
            })
        }
      }),
      logProbs: () => Effect.fail(new PolicyUnavailable({ reason: "a recording has no parameters to evaluate" }))
    })
  })
