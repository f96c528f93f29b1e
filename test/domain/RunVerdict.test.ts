import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as RunConfig from "../../src/domain/RunConfig.ts"
import * as RunVerdict from "../../src/domain/RunVerdict.ts"

const config = (input: object = {}) => Result.getOrThrow(RunConfig.resolve({ ...input } as never))

const learned = { "train/updates": 2, "rollout/completed": 8 }
const failed = {
  "train/updates": 0,
  "rollout/completed": 0,
  "rollout/failed": 8,
  "rollout/failed/PromptTooLong": 6,
  "rollout/failed/RetrieverTimeout": 2
}

const verdict = (steps: ReadonlyArray<Readonly<Record<string, number>>>, input: object = {}) =>
  RunVerdict.verdict(RunVerdict.idle(config(input), steps.map((metrics, index) => ({ step: index + 1, metrics }))))

describe("what a run has learned", () => {
  it("is nothing where no step made an update, and it is said why", () => {
    assert.deepStrictEqual(verdict([failed, failed]), [
      "Nothing was learned: no update was made in 2 steps.",
      "In them 16 rollouts failed (12 PromptTooLong, 4 RetrieverTimeout)."
    ])
    assert.deepStrictEqual(verdict([{ "train/updates": 0, "rollout/completed": 8 }]), [
      "Nothing was learned: no update was made in 1 step.",
      "In it 8 were in groups of equal rewards."
    ])
    assert.deepStrictEqual(
      verdict([{ ...failed, "rollout/failed": 1, "train/dropped_trajectories": 7 }])?.[1]?.slice(0, 15),
      "In it 1 rollout"
    )
    assert.include(
      verdict([{ "train/updates": 0, "train/skipped_updates": 3, "rollout/completed": 8 }])?.[1],
      "3 updates had no"
    )
  })

  it("is hardly anything where most steps made none", () => {
    assert.strictEqual(
      verdict([learned, failed, failed])?.[0],
      "Hardly anything was learned: no update was made in 2 of 3 steps."
    )
    assert.isNull(verdict([learned, failed]))
    assert.isNull(verdict([learned]))
    assert.isNull(verdict([]), "a run without steps has nothing to be judged by")
  })

  it("looks at no evaluation before training", () => {
    assert.isNull(
      RunVerdict.verdict(RunVerdict.idle(config(), [{ step: 0, metrics: {} }, { step: 1, metrics: learned }]))
    )
  })

  it("counts the steps in which the critic alone warms up", () => {
    const warmUp = { "train/updates": 0, "critic/grad_norm": 1, "rollout/completed": 8 }
    assert.isNull(verdict([warmUp, warmUp], { algorithm: "ppo", critic: { warmupSteps: 2 } }))
    assert.isNotNull(verdict([warmUp, warmUp, warmUp], { algorithm: "ppo", critic: { warmupSteps: 1 } }))
    assert.isNotNull(verdict([warmUp]))
  })
})
