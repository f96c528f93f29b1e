import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Metrics from "../../src/domain/Metrics.ts"
import { failed, ScoredTrajectory } from "../../src/domain/Outcome.ts"
import { lossMask, tokenCount, Trajectory } from "../../src/domain/Trajectory.ts"
import { randomScored, segmentOf } from "../support/samples.ts"
import { trajectoryOf } from "../support/trajectories.ts"

const searched = trajectoryOf([
  { text: "<search>q</search>", documents: "0123456789" },
  { text: "<answer>Paris</answer>" }
])
const lost = trajectoryOf([{ text: "prose", documents: "" }, { text: "<search>q</search>" }])

const scoredOf = (trajectory: Trajectory, reward = 0, metrics: Readonly<Record<string, number>> = {}) =>
  new ScoredTrajectory({ trajectory, reward, components: { exactMatch: reward }, metrics })

const rollouts = (...trajectories: ReadonlyArray<Trajectory>) =>
  Metrics.rollouts(trajectories.map((trajectory) => scoredOf(trajectory)), [])

const cutOff = (trajectory: Trajectory): Trajectory =>
  new Trajectory({
    ...trajectory,
    segments: trajectory.segments.map((segment) =>
      segment._tag === "Sampled" ? { ...segment, finish: "length" } : segment
    )
  })

describe("rollouts", () => {
  it("count actions, searches and endings", () => {
    const metrics = rollouts(searched, lost)
    assert.strictEqual(metrics["env/number_of_actions/mean"], 2)
    assert.strictEqual(metrics["env/finish_ratio"], 0.5)
    assert.strictEqual(metrics["env/ending/answer"], 0.5)
    assert.strictEqual(metrics["env/ending/turns"], 0.5)
    assert.strictEqual(metrics["env/ending/budget"], 0)
    assert.strictEqual(metrics["env/number_of_valid_action"], 1.5)
    assert.strictEqual(metrics["env/ratio_of_valid_action"], 0.75)
    assert.strictEqual(metrics["env/number_of_invalid_action"], 0.5)
    // the last search of the second was never executed (Q9)
    assert.strictEqual(metrics["env/number_of_valid_search"], 0.5)
    assert.strictEqual(metrics["env/number_of_requested_search"], 1)
  })

  it("measure the response with and without observations", () => {
    const metrics = rollouts(searched)
    const model = "<search>q</search><answer>Paris</answer>".length
    const observation = "\n\n<information>0123456789</information>\n\n".length
    assert.strictEqual(metrics["response_length/model/mean"], model)
    assert.strictEqual(metrics["response_length/observation/max"], observation)
    assert.strictEqual(metrics["response_length/min"], model + observation)
    assert.strictEqual(metrics["state_tokens/total"], model)
    assert.strictEqual(metrics["state_tokens/coverage"], model / (model + observation))
  })

  it("call clipped only generations that a token budget cut", () => {
    assert.strictEqual(rollouts(searched, lost)["response_length/clip_ratio"], 0)
    assert.strictEqual(rollouts(searched, cutOff(lost))["response_length/clip_ratio"], 0.5)
  })

  it("count the documents that were cut", () => {
    const trajectory = new Trajectory({
      ...searched,
      segments: searched.segments.map((segment) =>
        segment._tag === "Observation" && segment.source._tag === "Search"
          ? { ...segment, source: { ...segment.source, truncated: 2 } }
          : segment
      )
    })
    assert.strictEqual(rollouts(trajectory, lost)["env/truncated_documents"], 1)
  })

  it.prop("agree with the loss mask", [Schema.Array(Schema.String)], ([seeds]) => {
    const batch = seeds.map((seed) => randomScored(seed, "p", 0))
    const metrics = Metrics.rollouts(batch, [])
    for (const value of Object.values(metrics)) assert.isTrue(Number.isFinite(value))
    if (batch.length === 0) return
    const segments = batch.map(({ trajectory }) => trajectory.segments)
    const masked = segments.map((all) => lossMask(all).reduce((sum, bit) => sum + bit, 0))
    const prompts = segments.map((all) => tokenCount(all.filter(({ _tag }) => _tag === "Prompt")))
    assert.strictEqual(metrics["state_tokens/total"], masked.reduce((sum, n) => sum + n, 0))
    assert.strictEqual(metrics["response_length/model/max"], Math.max(...masked))
    assert.strictEqual(metrics["prompt_length/min"], Math.min(...prompts))
    assert.strictEqual(
      metrics["response_length/max"],
      Math.max(...segments.map((all, i) => tokenCount(all) - (prompts[i] ?? 0)))
    )
  })

  it("have no NaN where there is nothing", () => {
    const silent = new Trajectory({ ...searched, segments: [segmentOf("Prompt", 3)] })
    const values = Object.values(rollouts(silent))
    assert.isAbove(values.length, 5)
    for (const value of values) assert.isTrue(Number.isFinite(value))
  })

  it("count failures by error and keep them out of the means", () => {
    const failure = (tag: string) => failed({ promptKey: "p", sample: 0, questionId: "q", error: { _tag: tag } })
    const failures = [failure("RetrieverTimeout"), failure("RetrieverTimeout"), failure("ContextOverflow")]
    assert.deepStrictEqual(Metrics.rollouts([], failures), {
      "rollout/completed": 0,
      "rollout/failed": 3,
      "rollout/failed/RetrieverTimeout": 2,
      "rollout/failed/ContextOverflow": 1
    })
    const { "rollout/failed": count, ...rest } = Metrics.rollouts([scoredOf(searched)], failures)
    assert.strictEqual(count, 3)
    assert.strictEqual(rest["env/finish_ratio"], 1)
    assert.strictEqual(rest["reward/total/mean"], 0)
  })

  it("report rewards and what they report", () => {
    const metrics = Metrics.rollouts([scoredOf(searched, 1, { em: 1 }), scoredOf(lost, 0, { em: 0 })], [])
    assert.strictEqual(metrics["reward/total/mean"], 0.5)
    assert.strictEqual(metrics["reward/total/max"], 1)
    assert.strictEqual(metrics["reward/exactMatch"], 0.5)
    assert.strictEqual(metrics["answer/em"], 0.5)
  })
})
