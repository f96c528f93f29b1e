import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Schema, Stream } from "effect"
import { Command } from "effect/cli"
import { TestConsole } from "effect/testing"
import { data } from "../../src/cli/data.ts"
import { renderPrompt } from "../../src/domain/Protocol.ts"
import * as QuestionRecord from "../../src/domain/QuestionRecord.ts"
import * as ParquetFile from "../../src/layers/parquetFile.ts"
import * as QuestionsFile from "../../src/layers/questions/QuestionsFile.ts"
import { hasShared, sharedPath } from "../sharedData.ts"

const run = (...args: ReadonlyArray<string>) => Command.runWith(data, { version: "0.0.0", renderErrors: false })(args)

const decodeLine = Schema.decodeEffect(Schema.fromJsonString(QuestionRecord.ReferenceRecord))

const records = Effect.fnUntraced(function*(path: string) {
  const text = yield* (yield* FileSystem.FileSystem).readFileString(path)
  return yield* Effect.forEach(text.trimEnd().split("\n"), (line) => decodeLine(line))
})

const questionLines = (count: number) =>
  Array.from(
    { length: count },
    (_, index) =>
      `${JSON.stringify({ id: `q${index}`, question: ` who is ${index}`, golden_answers: [`a${index}`] })}\n`
  ).join("")

const folder = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const path = yield* fs.makeTempDirectoryScoped()
  yield* fs.writeFileString(`${path}/nq.jsonl`, questionLines(3))
  yield* fs.writeFileString(`${path}/hotpotqa.jsonl`, questionLines(2))
  return path
})

describe("data", () => {
  it.effect("joins files into the reference's records, with one index over all", () =>
    Effect.gen(function*() {
      const path = yield* folder
      const out = `${path}/out/train.jsonl`
      yield* run(`${path}/nq.jsonl`, `${path}/hotpotqa.jsonl`, "--out", out)
      const written = yield* records(out)
      assert.deepStrictEqual(written.map(({ extra_info }) => extra_info.index), [0, 1, 2, 3, 4])
      assert.deepStrictEqual(written[3], {
        id: "q0",
        question: "who is 0?",
        golden_answers: ["a0"],
        data_source: "hotpotqa",
        prompt: [{ role: "user", content: renderPrompt("search", "who is 0") }],
        ability: "fact-reasoning",
        reward_model: { style: "rule", ground_truth: { target: ["a0"] } },
        extra_info: { split: "train", index: 3 }
      })
      assert.deepStrictEqual(yield* TestConsole.logLines, [`5 records in ${out}`])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("puts passages into rag prompts", () =>
    Effect.gen(function*() {
      const path = yield* folder
      const fs = yield* FileSystem.FileSystem
      const corpus = `${path}/corpus.jsonl`
      yield* fs.writeFileString(corpus, `{"id":"1","contents":"\\"Zero\\"\\nwho is 0 is a song"}\n`)
      const out = `${path}/rag.jsonl`
      yield* run(`${path}/nq.jsonl`, "--template", "rag", "--corpus", corpus, "--split", "test", "--out", out)
      const [first] = yield* records(out)
      assert.include(first?.prompt[0]?.content ?? "", "Context: Doc 1(Title: \"Zero\") who is 0 is a song\n")
      assert.strictEqual(first?.extra_info.split, "test")
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("keeps what was asked for, and says what is missing", () =>
    Effect.gen(function*() {
      const path = yield* folder
      const out = `${path}/out.jsonl`
      const nq = `${path}/nq.jsonl`
      yield* run(nq, `${path}/hotpotqa.jsonl`, "--only", "nq", "--sample", "2", "--out", out)
      assert.deepStrictEqual((yield* records(out)).map(({ data_source }) => data_source), ["nq", "nq"])
      const message = (...args: ReadonlyArray<string>) =>
        Effect.map(Effect.flip(run(...args)), (error) => error._tag === "UserError" ? error.userMessage ?? "" : "")
      assert.include(yield* message(nq, "--only", "popqa", "--out", out), "no questions of popqa in it, only of nq")
      assert.include(yield* message(nq, "--template", "rag", "--out", out), "What shall be searched?")
      assert.include(yield* message(nq, "--out", nq), "would overwrite")
      assert.include(yield* message(`${nq}.missing`, "--out", out), "there is no such file")
    }).pipe(Effect.provide(NodeServices.layer)))

  const parquet = "search-r1/parquet/stage05_val.parquet"
  it.effect.skipIf(!hasShared(parquet))(
    "writes what the reference's scripts wrote into ../shared/data's Parquet",
    () =>
      Effect.gen(function*() {
        const columns = Object.keys(QuestionRecord.ReferenceRecord.fields)
        const rows = (yield* Stream.runCollect(ParquetFile.batches(sharedPath(parquet), columns))).flat()
        const questions = yield* QuestionsFile.read(sharedPath(parquet))
        const decodeRow = Schema.decodeUnknownEffect(QuestionRecord.ReferenceRecord)
        for (const [position, question] of questions.entries()) {
          const row = yield* decodeRow(rows[position])
          assert.deepStrictEqual(QuestionRecord.toReference(question, { template: "search", ...row.extra_info }), row)
        }
      })
  )
})
