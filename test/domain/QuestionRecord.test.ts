import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as Protocol from "../../src/domain/Protocol.ts"
import { Question } from "../../src/domain/Question.ts"
import * as QuestionRecord from "../../src/domain/QuestionRecord.ts"
import * as RecordFields from "../../src/domain/RecordFields.ts"

const fallback = { id: "file_7", dataSource: "file" }
const read = (record: unknown) =>
  Result.match(QuestionRecord.fromJson(record, fallback), {
    onSuccess: ({ ...fields }) => fields,
    onFailure: (reason) => reason
  })
const plain = { question: "who?", golden_answers: ["me"] }
const expected = { id: "file_7", dataSource: "file", question: "who?", goldenAnswers: ["me"] }
const prompt = (question: string) => Protocol.renderPrompt("search", question)

describe("a question's record", () => {
  it.each<readonly [string, unknown, unknown]>([
    ["takes the fallback's names", plain, expected],
    ["names itself", { ...plain, id: "a", data_source: "nq" }, { ...expected, id: "a", dataSource: "nq" }],
    ["may have a number for its id", { ...plain, id: 3 }, { ...expected, id: "3" }],
    ["is numbered within a split", { ...plain, extra_info: { split: "train", index: 4 } }, {
      ...expected,
      id: "train_4"
    }],
    ["is numbered without a split", { ...plain, extra_info: { index: "4" } }, { ...expected, id: "4" }],
    ["has an id rather than a number", { ...plain, id: "a", extra_info: { index: 4 } }, { ...expected, id: "a" }],
    ["lists its gold passages once", { ...plain, metadata: { gold_ids: ["p1", 2, "p1", null] } }, {
      ...expected,
      goldIds: ["p1", "2"]
    }],
    ["may list none", { ...plain, metadata: { gold_ids: [] } }, expected],
    ["may list what is none", { ...plain, metadata: { gold_ids: "p1" } }, expected],
    ["counts hops", { ...plain, metadata: { hops: 2, type: "3hop1" } }, { ...expected, hops: 2 }],
    ["counts whole hops only", { ...plain, metadata: { hops: 2.5 } }, expected],
    ["names MuSiQue's hops", { ...plain, metadata: { type: "13hop1" } }, { ...expected, hops: 13 }],
    ["names other types", { ...plain, metadata: { type: "a 3hop" } }, expected],
    ["may have a type that is no text", { ...plain, metadata: { type: 3 } }, expected],
    ["asks in extra_info", { golden_answers: ["me"], extra_info: { question: "who?" } }, expected],
    ["asks in a prompt of text", { golden_answers: ["me"], prompt: prompt("who?") }, expected],
    ["asks in the user's last message", {
      golden_answers: ["me"],
      prompt: [
        { role: "user", content: prompt("what?") },
        { role: "user", content: prompt("who?") },
        { role: "assistant", content: prompt("where?") },
        { role: "user", content: 3 },
        null
      ]
    }, expected],
    [
      "asks in its own column first",
      { ...plain, extra_info: { question: "what?" }, prompt: prompt("where?") },
      expected
    ],
    ["may ask nothing", { golden_answers: ["me"] }, "\"question\" is missing"],
    [
      "may ask in nobody's name",
      { golden_answers: ["me"], prompt: [{ role: "system", content: prompt("who?") }] },
      "\"question\" is missing"
    ],
    ["may hold a prompt that is none", { golden_answers: ["me"], prompt: 3 }, "\"question\" is missing"],
    ["may ask white space", { ...plain, question: "\u0085 " }, "\"question\" is empty"],
    ["may ask with a list", { ...plain, question: [] }, "\"question\" must be a string, got an array"],
    ["may have a wrong id", { ...plain, id: {} }, "\"id\" must be a string, got an object"],
    ["may have a wrong source", { ...plain, data_source: true }, "\"data_source\" must be a string, got a boolean"],
    ["may have no answers", { question: "who?" }, "\"golden_answers\" is missing"],
    ["may be a list", [], "expected an object with \"question\" and \"golden_answers\", got an array"],
    ["may be null", null, "expected an object with \"question\" and \"golden_answers\", got null"],
    ["may be text", "x", "expected an object with \"question\" and \"golden_answers\", got a string"]
  ])("%s", (_, record, found) => assert.deepStrictEqual(read(record), found))

  it("is written as the reference's scripts do (spec §2.2), and read again", () => {
    const question = new Question({ id: "q", dataSource: "nq", question: " who ", goldenAnswers: ["me", "I"] })
    const record = QuestionRecord.toReference(question, { template: "search", split: "train", index: 3 })
    assert.deepStrictEqual(record, {
      id: "q",
      question: "who?",
      golden_answers: ["me", "I"],
      data_source: "nq",
      prompt: [{ role: "user", content: prompt("who?") }],
      ability: "fact-reasoning",
      reward_model: { style: "rule", ground_truth: { target: ["me", "I"] } },
      extra_info: { split: "train", index: 3 }
    })
    assert.deepStrictEqual(read(record), { ...expected, id: "q", dataSource: "nq", goldenAnswers: ["me", "I"] })
    const rag = QuestionRecord.toReference(question, {
      template: "rag",
      split: "test",
      index: 0,
      documents: [{ id: "1", title: "\"T\"", text: "text" }]
    })
    assert.include(rag.prompt[0]?.content, "Context: Doc 1(Title: \"T\") text")
    const { id: _, question: __, golden_answers: ___, ...verl } = record
    assert.deepStrictEqual(read(verl), { ...expected, id: "train_3", dataSource: "nq", goldenAnswers: ["me", "I"] })
    for (const column of Object.keys(record).filter((name) => name !== "ability")) {
      assert.include(QuestionRecord.columns, column)
    }
    for (const column of ["metadata", "reward_spec"]) assert.include(QuestionRecord.columns, column)
  })
})

describe("fields of records", () => {
  it("say what they are", () => {
    assert.deepStrictEqual(
      [undefined, null, [], new Date(), {}, 3n, 3, "x", true].map(RecordFields.kind),
      ["nothing", "null", "an array", "a date", "an object", "a number", "a number", "a string", "a boolean"]
    )
  })

  it("are texts where they are strings or finite numbers", () => {
    assert.deepStrictEqual(
      ["x", "", 3, 0.5, 3n, Number.NaN, Infinity, null, true, []].map(RecordFields.textOf),
      ["x", "", "3", "0.5", "3", undefined, undefined, undefined, undefined, undefined]
    )
  })

  it("are missing where absent, null or NaN", () => {
    assert.deepStrictEqual(
      [undefined, null, Number.NaN, 0, "", false].map(RecordFields.isMissing),
      [true, true, true, false, false, false]
    )
    for (const a of [undefined, null, Number.NaN]) {
      assert.deepStrictEqual(RecordFields.optionalString({ a }, "a"), Result.succeed(undefined))
    }
  })

  it("lie at paths within objects", () => {
    assert.strictEqual(RecordFields.at({ a: { b: 3 } }, "a", "b"), 3)
    assert.isUndefined(RecordFields.at({ a: [3] }, "a", "0"))
    assert.isUndefined(RecordFields.at({ a: null }, "a", "b"))
    assert.isUndefined(RecordFields.at({ a: "text" }, "a", "length"))
    assert.deepStrictEqual(RecordFields.at({ a: 1 }), { a: 1 })
  })
})
