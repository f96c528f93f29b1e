import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { ScoredTrajectory } from "../../src/domain/Outcome.ts"
import { renderPrompt } from "../../src/domain/Protocol.ts"
import * as Recording from "../../src/domain/Recording.ts"
import { Trajectory } from "../../src/domain/Trajectory.ts"
import * as Transcript from "../../src/domain/Transcript.ts"
import { trajectoryOf } from "../support/trajectories.ts"

const read = (value: unknown) => Result.getOrThrowWith(Recording.fromJson(value), (reason) => new Error(reason))
const flaw = (value: unknown) => Result.isFailure(Recording.fromJson(value)) ? Recording.fromJson(value) : undefined
const fails = (value: unknown, reason: string) => assert.deepStrictEqual(flaw(value), Result.fail(reason))

describe("fromJson", () => {
  it("reads the plain form", () => {
    const recording = read({
      id: 7,
      question: "q",
      golden_answers: "x",
      response: "r",
      prompt: "p",
      data_source: "nq",
      more: {}
    })
    assert.strictEqual(recording.id, "7")
    assert.strictEqual(recording.dataSource, "nq")
    assert.deepStrictEqual(recording.goldenAnswers, ["x"])
    assert.strictEqual(Transcript.fullText(recording.transcript), "pr")
  })

  it("reads a harness's log and the reference's ground truth", () => {
    const logged = read({ golden_answers: ["x"], output: { query: "p", final_response: "r" } })
    assert.strictEqual(Transcript.fullText(logged.transcript), "pr")
    assert.strictEqual(logged.id, undefined)
    const truth = read({ reward_model: { ground_truth: { target: ["x", "y"] } }, response: "r" })
    assert.deepStrictEqual(truth.goldenAnswers, ["x", "y"])
  })

  it("renders a prompt of messages", () => {
    const { transcript } = read({ golden_answers: ["x"], response: "r", prompt: [{ role: "user", content: "hi" }] })
    assert.strictEqual(transcript.prompt, "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n")
    const prefilled = [{ role: "user", content: "hi" }, { role: "assistant", content: "<think>\n" }]
    assert.strictEqual(
      read({ golden_answers: "x", response: "r", prompt: prefilled }).transcript.prompt,
      "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n<think>\n"
    )
  })

  it("takes the question from the prompt where it has none of its own", () => {
    const record = { golden_answers: ["x"], response: "r" }
    const asked = renderPrompt("search", "Text and Context: who speaks")
    const chat = `<|im_start|>user\n${asked}<|im_end|>\n<|im_start|>assistant\n`
    for (
      const value of [
        { ...record, prompt: asked },
        { ...record, prompt: [{ role: "user", content: asked }] },
        { ...record, response: `${chat}r` }
      ]
    ) assert.strictEqual(read(value).question, "Text and Context: who speaks?")
    assert.strictEqual(read(record).question, "")
  })

  it("reads what this package writes", () => {
    const trajectory = trajectoryOf([
      { text: "<search>q</search>", documents: "<answer>no</answer>" },
      { text: "<answer>Paris</answer>" }
    ])
    const scored = new ScoredTrajectory({ trajectory, reward: 1, components: {}, metrics: {} })
    const encoded = Schema.encodeSync(Schema.toCodecJson(Trajectory))(trajectory)
    const encodedScored = Schema.encodeSync(Schema.toCodecJson(ScoredTrajectory))(scored)
    for (const value of [encoded, encodedScored, { step: 3, scored: encodedScored }]) {
      const recording = read(value)
      assert.strictEqual(recording.dataSource, "nq")
      assert.deepStrictEqual(recording.transcript, Transcript.fromSegments(trajectory.segments))
    }
  })

  it("says what is wrong", () => {
    const good = { golden_answers: ["x"], response: "r" }
    fails(3, `expected an object with "golden_answers" and "response", got a number`)
    fails([], `expected an object with "golden_answers" and "response", got an array`)
    fails({ response: "r" }, `"golden_answers" is missing`)
    fails({ ...good, golden_answers: [] }, `"golden_answers" is empty: there is nothing to grade against`)
    const must = `must hold strings, numbers, true or false, or {"target": …} with these`
    fails({ ...good, golden_answers: ["x", { y: 3 }] }, `"golden_answers" ${must}, got an object`)
    fails({ ...good, golden_answers: {} }, `"golden_answers" ${must}, got an object`)
    fails({ golden_answers: ["x"] }, `"response" is missing (and there is no "output.final_response")`)
    fails({ ...good, response: ["r"] }, `"response" must be a string, got an array`)
    fails({ ...good, question: {} }, `"question" must be a string, got an object`)
    fails(
      { ...good, prompt: 1 },
      `"prompt" must be a string or an array of {"role","content"} messages, got a number`
    )
    assert.isTrue(Result.isFailure(Recording.fromJson({ segments: [{}] })))
    fails(
      { _tag: "Failed", promptKey: "p", error: { _tag: "RetrieverTimeout" } },
      "this rollout failed (RetrieverTimeout): it has nothing to grade"
    )
  })
})
