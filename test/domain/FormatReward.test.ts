// @effect-diagnostics nodeBuiltinImport:off
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { readFileSync } from "node:fs"
import * as FormatReward from "../../src/domain/FormatReward.ts"
import * as Presets from "../../src/domain/Presets.ts"
import * as Protocol from "../../src/domain/Protocol.ts"
import { parse } from "../../src/domain/TranscriptParser.ts"

const chat = (prompt: string) => `<|im_start|>user\n${prompt}<|im_end|>\n<|im_start|>assistant\n`
const prompt = chat(Protocol.renderPrompt("search", "capital of France?"))
const weights = { ...FormatReward.v03, retrieval: 0.1 }
const compute = (
  response: string,
  scopes: FormatReward.Scopes,
  goldenAnswers: ReadonlyArray<string> = ["Paris"],
  before = prompt
) => FormatReward.compute(parse(response, { prompt: before }), goldenAnswers, weights, scopes)

const search = (document: string) => `<think>a</think><search>q</search>\n\n<information>${document}</information>\n\n`

interface Row {
  readonly response: string
  readonly valid: boolean
  readonly reward: number
  readonly fixed: number
}

/** Appendix A.2: response, valid, reward of the reference, reward of the fixed preset where it differs. */
const vectors: ReadonlyArray<readonly [string, boolean, number, number?]> = [
  ["<think>a</think><answer>Paris</answer>", true, 1],
  ["<think>a</think><answer>Rome</answer>", true, 0.2],
  [`${search("Paris is..")}<think>b</think><answer>Rome</answer>`, true, 0.3],
  [`${search("Lyon")}<think>b</think><answer>Rome</answer>`, true, 0.2],
  [`${search("Paris is..")}<answer>Paris</answer>`, false, 0.8],
  ["<answer>Rome</answer>", false, 0.1],
  ["hello", false, 0.1, 0],
  ["<think>a</think><answer>Rome</answer><think>b</think><answer>Paris</answer>", false, 0.8],
  // invalid too
  ["<think>a</think><think>b</think><answer>Paris</answer>", false, 0.8],
  ["<think>a</think><answer>Paris</answer> because", false, 0.8],
  ["<think>a</think><answer>Paris</answer><|im_end|>", false, 0.8],
  ["<think>a</think><search>q</search><answer>Paris</answer>", false, 0.8],
  ["so <think>a</think><answer>Paris</answer>", false, 0.8],
  [`hm${Protocol.invalidActionMessage}<think>a</think><answer>Paris</answer>`, false, 0.8],
  ["<think>a</think><information>x</information><think>b</think><answer>Paris</answer>", false, 0.8],
  ["<think>a</think><answer>Paris", false, 0.1, 0]
]
const rows = vectors.map(([response, valid, reward, fixed]): Row => ({
  response,
  valid,
  reward,
  fixed: fixed ?? reward
}))

describe("reference scope", () => {
  it.each(rows)("$response", ({ response, reward, valid }) => {
    const row = compute(response, Presets.reference)
    assert.strictEqual(row.flaw === null, valid)
    assert.closeTo(FormatReward.total(row), reward, 1e-12)
  })

  it("judges documents and cut observations (Q24)", () => {
    for (
      const response of [
        "<think>a</think><search>q</search>\n\n<information>cut<think>b</think><answer>Paris</answer>",
        `${search("a <search> b")}<think>b</think><answer>Paris</answer>`
      ]
    ) assert.isNotNull(compute(response, Presets.reference).flaw)
  })

  it("sees a thought that a ChatML prompt opens", () => {
    const flaw = (response: string) => compute(response, Presets.reference, ["Paris"], `${prompt}<think>\n`).flaw
    assert.isNull(flaw("a</think><answer>Paris</answer>"))
    assert.isNotNull(flaw("<think>a</think><answer>Paris</answer>"))
  })

  it("is never valid without a ChatML marker (Q22)", () => {
    const row = compute(
      "<think>a</think><answer>Paris</answer>",
      Presets.reference,
      ["Paris"],
      "Question <answer>x</answer>"
    )
    assert.strictEqual(row.flaw, "there is no <|im_start|>assistant marker")
    assert.closeTo(FormatReward.total(row), 0.8, 1e-12)
  })

  it("grades a response without an answer as Beijing (Q20)", () => {
    assert.strictEqual(compute("hello", Presets.reference, ["Beijing"]).answer, "Beijing")
    assert.closeTo(FormatReward.total(compute("hello", Presets.reference, ["Beijing"])), 0.8, 1e-12)
  })

  it("finds an empty golden answer in the instruction (Q25)", () => {
    const response = "<think>a</think><answer>Rome</answer>"
    assert.isTrue(compute(response, Presets.reference, ["the"]).retrieved)
    assert.isTrue(compute(response, Presets.reference, ["N"]).retrieved)
    assert.isFalse(compute(response, Presets.fixed, ["the"]).retrieved)
    assert.isFalse(compute(response, Presets.fixed, ["N"]).retrieved)
  })

  it("equals the reference's code on recorded cases", () => {
    /** `[behind ChatML, response, golden answers, valid, reward]`, by a Python port of `qa_em_format.py`. */
    const golden = Schema.decodeUnknownSync(
      Schema.fromJsonString(Schema.Array(
        Schema.Tuple([Schema.Boolean, Schema.String, Schema.Array(Schema.String), Schema.Boolean, Schema.Finite])
      ))
    )(readFileSync(new URL("../golden/format.json", import.meta.url), "utf8"))
    const instruction =
      "Answer the given question. You can <search> query </search>; results between <information> and </information>; <answer> and </answer>. For example, <answer> Beijing </answer>. Question: capital?\n"
    assert.isAbove(golden.filter((row) => row[3]).length, 50)
    for (const [behindChatml, response, answers, valid, reward] of golden) {
      const row = compute(response, Presets.reference, answers, behindChatml ? chat(instruction) : instruction)
      assert.strictEqual(row.flaw === null, valid, response)
      assert.closeTo(FormatReward.total(row), reward, 1e-12, response)
    }
  })
})

describe("fixed scope", () => {
  it.each(rows)("$response", ({ fixed, response, valid }) => {
    for (const before of [prompt, ""]) {
      const row = compute(response, Presets.fixed, ["Paris"], before)
      assert.strictEqual(row.flaw === null, valid)
      assert.closeTo(FormatReward.total(row), fixed, 1e-12)
    }
  })

  it("does not blame the policy for what the environment wrote (Q24)", () => {
    for (
      const response of [
        "<think>a</think><search>q</search>\n\n<information>cut<think>b</think><answer>Paris</answer>",
        `${search("a <search> b <answer>")}<think>b</think><answer>Paris</answer>`
      ]
    ) assert.strictEqual(FormatReward.total(compute(response, Presets.fixed)), 1)
  })

  const asked = Protocol.renderPrompt("search", "capital of France?")
  /** Prompts that open `<think>` themselves, or put other words into the policy's mouth before it. */
  const opening = [
    `<｜begin▁of▁sentence｜><｜User｜>${asked}<｜Assistant｜><think>\n`,
    `${prompt}<think>\n`,
    `${prompt}<think>`,
    `<start_of_turn>user\n${asked}<end_of_turn>\n<start_of_turn>model\n<think>\n\n`,
    `[INST] ${asked}[/INST]<think>\nOkay, so`,
    `User: ${asked}Assistant: Let me solve this step by step.\n<think>`
  ]

  it.each(opening)("begins in the thought that the prompt opens: %j", (before) => {
    const valid = (response: string) => compute(response, Presets.fixed, ["Paris"], before).flaw === null
    assert.isTrue(valid("a</think><answer>Paris</answer>"))
    assert.isTrue(
      valid("a</think><search>q</search>\n\n<information>x</information>\n\n<think>b</think><answer>x</answer>")
    )
    assert.isFalse(valid("a<answer>Paris</answer>"))
    assert.isFalse(valid("a</think>b<answer>Paris</answer>"))
    // it opens the first thought alone
    assert.isFalse(valid("a</think><search>q</search>\n\n<information>x</information>\n\nb</think><answer>x</answer>"))
    assert.isFalse(valid("<think>a</think><answer>Paris</answer>"))
  })

  it.each([
    prompt,
    "",
    asked,
    `${prompt.slice(0, -"<|im_end|>\n<|im_start|>assistant\n".length)} Write <think> first.`
  ])(
    "begins without a thought behind %j",
    (before) => {
      assert.isNotNull(compute("a</think><answer>Paris</answer>", Presets.fixed, ["Paris"], before).flaw)
      assert.isNull(compute("<think>a</think><answer>Paris</answer>", Presets.fixed, ["Paris"], before).flaw)
    }
  )

  it.each([`${prompt}<think>\n\n</think>\n\n`, `${asked}<think></think>`])(
    "takes an empty thought of the prompt for the policy's, who may think all the same: %j",
    (before) => {
      for (const thought of ["", "<think>a</think>"]) {
        assert.isNull(compute(`${thought}<answer>Paris</answer>`, Presets.fixed, ["Paris"], before).flaw)
      }
      assert.isNotNull(compute("a<answer>Paris</answer>", Presets.fixed, ["Paris"], before).flaw)
    }
  )

  it("says that a prompt is missed which may have opened a thought", () => {
    const flaw = (before: string) => compute("a</think><answer>Paris</answer>", Presets.fixed, ["Paris"], before).flaw
    assert.include(flaw("") ?? "", "if the prompt opened <think>, it must be recorded, too")
    assert.notInclude(flaw(prompt) ?? "", "recorded")
  })

  it("never grades the prompt (Q20)", () => {
    const row = compute("hello", Presets.fixed, ["Beijing"])
    assert.isNull(row.answer)
    assert.strictEqual(FormatReward.total(row), 0)
  })

  it("finds golden answers as whole words of observations only", () => {
    const found = (document: string, golden: string) =>
      compute(`${search(document)}<think>b</think><answer>?</answer>`, Presets.fixed, [golden]).retrieved
    assert.isTrue(found("It is Paris, France.", "the Paris"))
    assert.isTrue(found("born in New <answer> York </answer>", "New York"))
    assert.isFalse(found("a parisian", "Paris"))
    assert.isFalse(compute("<think>Paris</think><answer>x</answer>", Presets.fixed).retrieved)
  })

  it("says what is wrong", () => {
    const flaw = (response: string) => compute(response, Presets.fixed).flaw
    assert.strictEqual(flaw("<answer>x</answer>"), "unexpected <answer> in state start")
    assert.strictEqual(flaw("hello"), "unexpected text \"hello\" in state start")
    assert.strictEqual(flaw("<think>a</think>"), "the text ends in state after_think")
    assert.strictEqual(flaw("<information>x</information>"), "the policy wrote <information> itself")
    assert.strictEqual(flaw(`x${Protocol.invalidActionMessage}`), "unexpected text \"x\" in state start")
  })
})
