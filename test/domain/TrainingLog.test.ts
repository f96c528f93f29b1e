import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import * as JsonRecords from "../../src/domain/JsonRecords.ts"
import { renderPrompt } from "../../src/domain/Protocol.ts"
import * as Recording from "../../src/domain/Recording.ts"
import * as TrainingLog from "../../src/domain/TrainingLog.ts"
import * as Transcript from "../../src/domain/Transcript.ts"

const split = (pieces: ReadonlyArray<string>) => {
  const splitter = TrainingLog.make()
  return [...pieces.flatMap((piece) => splitter.push(piece)), ...splitter.end()]
}

const recordings = (text: string) =>
  split([text]).map((record) =>
    Result.getOrThrowWith(
      Result.flatMap(JsonRecords.value(record), Recording.fromJson),
      (reason) => new Error(reason)
    )
  )

const prompt = `<|im_start|>user\n${renderPrompt("search", "capital of France")}<|im_end|>\n<|im_start|>assistant\n`
const responses = [
  "<think>a</think>\n<search>q</search>\n\n<information>Doc 1(Title: x) y</information>\n\n<answer>Paris</answer>",
  "no answer"
]

const log = `[WARNING] OBSERVATION TOO LONG
ACTIVE_TRAJ_NUM: [256, 194]
--------------------------------
Golden answers: ['Paris' "the 'city'"
 'l\\'île \\xe9']
Extracted answer: Paris
Solution string: ${prompt}${responses[0]}
ACTIVE_TRAJ_NUM: [256, 3]
step:5 - critic/score/mean:0.2
--------------------------------
Golden answers: ['Rome']
Extracted answer: and
Solution string: ${prompt}${responses[1]}
`

describe("training logs", () => {
  it("hold samples between other prints", () => {
    const [first, second, ...more] = recordings(log)
    assert.deepStrictEqual(more, [])
    assert.deepStrictEqual(first?.goldenAnswers, ["Paris", "the 'city'", "l'île é"])
    assert.strictEqual(first?.question, "capital of France?")
    assert.strictEqual(first?.transcript.prompt, prompt)
    assert.deepStrictEqual([first, second].map((one) => one && Transcript.responseText(one.transcript)), responses)
    assert.deepStrictEqual(split([log]).map(({ line }) => line), [4, 20])
  })

  it("may come through Ray", () => {
    const through = (prefix: string) => log.split("\n").map((line) => `${prefix}${line}`).join("\n")
    assert.deepStrictEqual(recordings(through("(main_task pid=163292) ")).slice(0, 1), recordings(log).slice(0, 1))
    assert.deepStrictEqual(
      recordings(through("\u001B[36m(main_task pid=7)\u001B[0m ")).slice(0, 1),
      recordings(log).slice(0, 1)
    )
  })

  it("without a solution string hold nothing", () => {
    assert.deepStrictEqual(
      split(["--------------------------------\nGolden answers: ['x']\nExtracted answer: y\n"]),
      [{ line: 1, flaw: "this is neither JSON nor a training log of Search-R1" }]
    )
  })

  it.prop(
    "give the same samples however they are cut",
    [Schema.Array(Schema.Literals([0, 3, 17, 300]))],
    ([lengths]) => {
      const pieces: Array<string> = []
      let at = 0
      for (let i = 0; at < log.length; i++) {
        const length = 1 + (lengths[i % Math.max(1, lengths.length)] ?? log.length)
        pieces.push(log.slice(at, at + length))
        at += length
      }
      assert.deepStrictEqual(split(pieces), split([log]))
    }
  )
})

describe("other texts", () => {
  it("are JSON lines or an array", () => {
    assert.deepStrictEqual(split(["\n{\"a\":1}\n{\"a\":2}"]), [{ line: 2, text: "{\"a\":1}" }, {
      line: 3,
      text: "{\"a\":2}"
    }])
    assert.deepStrictEqual(split(["[", "{\"a\":1}]"]), [{ line: 1, text: "{\"a\":1}" }])
  })

  it("may begin with a line that is no record", () => {
    assert.deepStrictEqual(split(["oops\n\n{\"a\":1}\n"]), [{ line: 1, text: "oops" }, { line: 3, text: "{\"a\":1}" }])
  })

  it("are told from logs", () => {
    assert.deepStrictEqual(split(["hello\n"]), [{
      line: 1,
      flaw: "this is neither JSON nor a training log of Search-R1"
    }])
    assert.deepStrictEqual(split([" \n"]), [])
    assert.deepStrictEqual(split(["["]).map((record) => "flaw" in record), [true])
    assert.deepStrictEqual(split(["{"]), [{ line: 1, text: "{" }])
    assert.deepStrictEqual(split(["{'python': 'dict'}\n[2026-01-01] started\n", log]).length, 2)
  })
})

describe("parseStrings", () => {
  it.each<[string, ReadonlyArray<string>]>([
    ["['a', 'b']", ["a", "b"]],
    ["['a' 'b'\n 'c']", ["a", "b", "c"]],
    ["[\"it's\", 'a \"b\"']", ["it's", "a \"b\""]],
    ["['\\u00e9\\n\\\\']", ["é\n\\"]],
    ["Paris", ["Paris"]],
    ["[]", []]
  ])("%s", (printed, expected) => {
    assert.deepStrictEqual(TrainingLog.parseStrings(printed), expected)
  })
})
