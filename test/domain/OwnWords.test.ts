import { assert, describe, it } from "@effect/vitest"
import * as OwnWords from "../../src/domain/OwnWords.ts"

/** What is not the policy's stands in brackets. */
const read = (text: string, before?: string) =>
  OwnWords.split(text, before).map(({ own, text }) => own ? text : `[${text}]`).join("")

const search = "<search> q </search>"
const answer = "<answer> a </answer>"

describe("OwnWords", () => {
  it.each([
    ["nothing but the policy's", `<think> t </think>${search}`, `<think> t </think>${search}`],
    ["text behind an answer", `${answer} so it is`, `${answer} so it is`],
    [
      "an observation behind a search",
      `${search}\n\n<information>P</information>\n\n${answer}`,
      `${search}[\n\n<information>P</information>\n\n]${answer}`
    ],
    [
      "several",
      `${search}\n<information>P</information>\n${search}<information>R</information>${answer}`,
      `${search}[\n<information>P</information>\n]${search}[<information>R</information>]${answer}`
    ],
    [
      "one without a search",
      `<think> t </think>\n<information>P</information> ${answer}`,
      `<think> t </think>[\n<information>P</information> ]${answer}`
    ],
    [
      "another case and attributes",
      `${search} <Information source="wiki">P</INFORMATION > ${answer}`,
      `${search}[ <Information source="wiki">P</INFORMATION > ]${answer}`
    ],
    [
      "nested ones",
      `${search}<information>A <information>B</information> C</information>${answer}`,
      `${search}[<information>A <information>B</information> C</information>]${answer}`
    ],
    [
      "a closing tag within a passage",
      `${search}<information>A </information> B <answer> no </answer></information>${answer}`,
      `${search}[<information>A </information> B <answer> no </answer></information>]${answer}`
    ],
    ["one that is not closed", `${search}<information>P and so`, `${search}[<information>P and so]`],
    [
      "one that is not closed in front of the policy's words",
      `${search}<information>P ${answer}`,
      `${search}[<information>P ]${answer}`
    ],
    [
      "results in other tags",
      `${search}\n<result>P <answer> no </answer></result>\nSo ${answer}`,
      `${search}[\n<result>P <answer> no </answer></result>\n]So ${answer}`
    ],
    [
      "results in no tags",
      `${search} Doc 1(Title: T) P ${answer}`,
      `${search}[ Doc 1(Title: T) P ]${answer}`
    ],
    ["a search that nobody answers", `${search}\n<think> t </think>`, `${search}\n<think> t </think>`],
    ["a search that is not complete", "<search> q", "<search> q"]
  ])("%s", (_, text, expected) => {
    assert.strictEqual(read(text), expected)
    assert.strictEqual(OwnWords.split(text).map(({ text }) => text).join(""), text)
  })

  it("behind an observation the rest of a passage and its white space are not the policy's", () => {
    assert.strictEqual(
      read(`C</information>\n${answer}`, "<information>A</information>"),
      `[C</information>\n]${answer}`
    )
    assert.strictEqual(read(` ${answer}`, "<information>A</information>"), `[ ]${answer}`)
    assert.strictEqual(read(`\n${answer}`, "\n\n<information>A</information>\n\n"), `\n${answer}`)
    assert.strictEqual(read(`C</information>${answer}`), `C</information>${answer}`)
  })
})
