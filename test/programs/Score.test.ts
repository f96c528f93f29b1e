/** Grading of recorded trajectories: which records are graded, told of, left out, or end the run. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Stream } from "effect"
import type { Scopes } from "../../src/domain/FormatReward.ts"
import type * as ScoreSummary from "../../src/domain/ScoreSummary.ts"
import * as Score from "../../src/programs/Score.ts"
import { withWarnings } from "../support/warnings.ts"

const own: Scopes = { answerScope: "modelSegments", formatScope: "segments" }

const line = (answer: string, more: object = {}): string =>
  `${JSON.stringify({ question: "who?", golden_answers: ["x"], response: `<answer>${answer}</answer>`, ...more })}\n`

const graded = (text: string, scopes: Scopes = own) =>
  Score.gradeRecord({ line: 7, text }, { scopes, path: "a.jsonl", dataSource: "nq" })

const right = (text: string, scopes: Scopes) => Result.getOrThrow(graded(text, scopes)).em

const textOf = (...pieces: ReadonlyArray<string>) => Stream.fromIterable(pieces)

/** Runs over sources; what was handed on, in order, with what was skipped. */
const run = Effect.fnUntraced(function*(
  sources: ReadonlyArray<Score.Source<never, never>>,
  skipBad = false
) {
  const heard: Array<string> = []
  const ids = (items: ReadonlyArray<ScoreSummary.Item>) => items.map(({ data_source, id }) => `${data_source}/${id}`)
  const outcome = yield* Effect.result(Score.run(sources, {
    scopes: own,
    skipBad,
    onItems: (items) => Effect.sync(() => void heard.push(ids(items).join(" "))),
    onSkipped: ({ message }) => Effect.sync(() => void heard.push(`skipped ${message.split(": ", 1)[0]}`))
  }))
  return { heard, outcome }
})

describe("grading a record", () => {
  it("names record and data source by place and option where the record has no names", () => {
    const { data_source, em, id, prediction } = Result.getOrThrow(graded(line("x")))
    assert.deepStrictEqual({ data_source, em, id, prediction }, { data_source: "nq", em: 1, id: "7", prediction: "x" })
    const named = Result.getOrThrow(graded(line("y", { id: "q1", data_source: "hotpotqa" })))
    assert.deepStrictEqual([named.id, named.data_source, named.em], ["q1", "hotpotqa", 0])
  })

  it("by the whole text takes a record without a prompt to have had the reference's, whose example is one answer", () => {
    const whole: Scopes = { ...own, answerScope: "fullText" }
    assert.strictEqual(right(line("x"), whole), 1)
    assert.strictEqual(right(line("x", { prompt: "who?" }), whole), 0, "one answer in all is none by that rule")
    assert.strictEqual(right(line("x", { prompt: "who?" }), own), 1)
  })

  it("judges the whole text's format behind the prompt of the reference where there is none", () => {
    const chatml: Scopes = { ...own, formatScope: "chatml" }
    const response = "<think>a</think>\n<answer>x</answer>"
    const flaw = (more: object) => Result.getOrThrow(graded(line("", { response, ...more }), chatml)).formatFlaw
    assert.isNull(flaw({}))
    assert.isNotNull(flaw({ prompt: "no assistant here" }))
  })

  it("says where a record is, and what is wrong with it", () => {
    const error = Result.getOrThrow(Result.flip(graded("{\"golden_answers\":[\"x\"]}")))
    assert.strictEqual(
      error.message,
      "a.jsonl:7: \"response\" is missing (and there is no \"output.final_response\")"
    )
    assert.isFalse("lost" in error)
    const lost = Score.gradeRecord({ line: 3, flaw: "the log ends", lost: true }, {
      scopes: own,
      path: "log",
      dataSource: "nq"
    })
    assert.deepInclude(Result.getOrThrow(Result.flip(lost)), { line: 3, lost: true, reason: "the log ends" })
  })
})

describe("grading a text", () => {
  it.effect("makes one batch of what a piece completes, and none of nothing", () =>
    Effect.gen(function*() {
      const [a, b, c] = [line("x"), line("y"), line("z")]
      const text = textOf(a + b.slice(0, 5), b.slice(5, 9), b.slice(9), c.trimEnd())
      const batches = yield* Stream.runCollect(Score.batches(text, { scopes: own, path: "a", dataSource: "nq" }))
      assert.deepStrictEqual(
        batches.map((batch) => batch.map((result) => Result.getOrThrow(result).prediction)),
        [["x"], ["y"], ["z"]]
      )
    }))

  it.effect("warns of the first doubtful sample, then counts them if there are more", () =>
    Effect.gen(function*() {
      const sample = (folded: string) =>
        `(main_task pid=7) Golden answers: ['x']\n(main_task pid=7) Extracted answer: x\n(main_task pid=7) Solution string: a${folded}\n(main_task pid=7) b${folded}\n(main_task pid=7) ${
          "-".repeat(32)
        }\n`
      const repeated = " [repeated 3x across cluster]"
      const warningsOf = (text: string) =>
        Effect.map(
          withWarnings(Stream.runDrain(Score.batches(textOf(text), { scopes: own, path: "log", dataSource: "nq" }))),
          ({ warnings }) => warnings
        )
      assert.deepStrictEqual(yield* warningsOf(sample("")), [])
      const one = yield* warningsOf(sample(repeated) + sample(""))
      assert.strictEqual(one.length, 1)
      assert.match(one[0] ?? "", /^log:1: Ray folded lines/)
      const two = yield* warningsOf(sample(repeated) + sample(repeated))
      assert.strictEqual(two[1], "log: this is so of 2 samples")
      const three = yield* warningsOf(sample(repeated) + sample("") + sample(repeated) + sample(repeated))
      assert.strictEqual(three.length, 2)
      assert.match(three[0] ?? "", /^log:1: Ray folded lines/)
      assert.strictEqual(three[1], "log: this is so of 3 samples")
    }))
})

describe("grading sources", () => {
  const good = { path: "good", dataSource: "nq", text: textOf(line("x") + line("y")) }
  const bad = { path: "bad", dataSource: "hotpotqa", text: textOf(line("x") + "{}\n" + line("x"), line("y")) }

  it.effect("goes through them one after the other, each with its own data source", () =>
    Effect.gen(function*() {
      const { heard, outcome } = yield* run([good, { ...good, dataSource: "hotpotqa" }])
      assert.deepStrictEqual(heard, ["nq/1 nq/2", "hotpotqa/1 hotpotqa/2"])
      const { report, skipped } = Result.getOrThrow(outcome)
      assert.strictEqual(skipped, 0)
      assert.deepStrictEqual([report.total.n, report.total.em], [4, 0.5])
      assert.deepStrictEqual(Object.keys(report.dataSources), ["nq", "hotpotqa"])
    }))

  it.effect("hands on what comes before a record that cannot be graded, and ends there", () =>
    Effect.gen(function*() {
      const { heard, outcome } = yield* run([bad, good])
      assert.deepStrictEqual(heard, ["hotpotqa/1"])
      const error = Result.getOrThrow(Result.flip(outcome))
      assert.match(error.message, /^bad:2: /)
    }))

  it.effect("skips and counts it where asked", () =>
    Effect.gen(function*() {
      const { heard, outcome } = yield* run([bad, good], true)
      assert.deepStrictEqual(heard, ["skipped bad:2", "hotpotqa/1 hotpotqa/3", "hotpotqa/4", "nq/1 nq/2"])
      const { report, skipped } = Result.getOrThrow(outcome)
      assert.deepStrictEqual([report.total.n, skipped], [5, 1])
      assert.closeTo(report.total.em, 3 / 5, 1e-12)
    }))

  it.effect("always skips what its log has lost", () =>
    Effect.gen(function*() {
      const log = "Golden answers: ['x' ... 'z']\nExtracted answer: x\nSolution string: <answer>x</answer>\n"
      const { heard, outcome } = yield* run([{ path: "log", dataSource: "nq", text: textOf(log) }])
      assert.deepStrictEqual(heard, ["skipped log:1", ""])
      assert.strictEqual(Result.getOrThrow(outcome).skipped, 1)
    }))
})
