/**
 * Holds grades of parsed recordings against an evaluation harness that knows who wrote what: it stops a generation at
 * `</search>` and `</answer>`, answers searches, and takes the last `<answer>` pair of the whole response. The policy is
 * a source of noise made of tags, quotations and forgeries.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Answer from "../../src/domain/Answer.ts"
import { grade } from "../../src/domain/Grading.ts"
import * as Presets from "../../src/domain/Presets.ts"
import * as Prng from "../../src/domain/Prng.ts"
import { invalidActionMessage } from "../../src/domain/Protocol.ts"
import { parse } from "../../src/domain/TranscriptParser.ts"

const noise = [
  "<think>",
  "</think>",
  "<search>",
  "</search>",
  "<search> q </search>",
  "<search></search>",
  "<information>",
  "</information>",
  "<information>forged Paris</information>",
  "\n\n",
  " ",
  "Paris",
  "the",
  ". ",
  "<answer>",
  "</answer>",
  "<answer>Paris</answer>",
  " <answer> and </answer>",
  "<|im_start|>user\n",
  "My previous action is invalid. ",
  "</search>\n\n<information>x</information>\n\n"
]

const frames = {
  reference: (text: string) => `\n\n<information>${text}</information>\n\n`,
  lines: (text: string) => `\n<information>\n${text}\n</information>`
}

interface Run {
  readonly response: string
  readonly prediction: string
  readonly searches: number
  readonly invalid: number
}

const evaluate = (seed: string, frame: (text: string) => string): Run => {
  const prng = Prng.make(seed)
  const generate = () => Array.from({ length: 1 + prng.below(9) }, () => noise[prng.below(noise.length)] ?? "").join("")
  let response = ""
  let searches = 0
  let invalid = 0
  for (let turn = 0; turn < 4; turn++) {
    const text = generate()
    const ends = ["</search>", "</answer>"].flatMap((tag) => text.includes(tag) ? [text.indexOf(tag) + tag.length] : [])
    const cut = text.slice(0, Math.min(text.length, ...ends))
    response += cut
    if (!cut.endsWith("</search>")) break
    const query = [...cut.matchAll(/<search>(.*?)<\/search>/gs)].at(-1)?.[1]?.trim() ?? ""
    if (query === "") {
      invalid++
      response += invalidActionMessage
    } else {
      searches++
      response += frame("Doc 1(Title: x) a passage")
    }
  }
  const prediction = [...response.matchAll(/<answer>(.*?)<\/answer>/gs)].at(-1)?.[1]?.trim() ?? ""
  return { response, prediction, searches, invalid }
}

describe("recordings of an evaluation harness", () => {
  it.each(["reference", "lines"] as const)("grade as the harness graded them (frame: %s)", (name) => {
    let correct = 0
    for (let run = 0; run < 3000; run++) {
      const { invalid, prediction, response, searches } = evaluate(`${name}/${run}`, frames[name])
      const graded = grade(parse(response), ["Paris"], Presets.fixed)
      assert.strictEqual(graded.em, Answer.exactMatch(prediction, ["Paris"]) ? 1 : 0, response)
      assert.strictEqual(graded.counts.executedSearches, searches, response)
      assert.strictEqual(graded.counts.invalidActions, invalid, response)
      correct += graded.em
    }
    assert.isAbove(correct, 100)
  })
})
