// @effect-diagnostics nodeBuiltinImport:off
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Stream } from "effect"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"
import { renderPrompt } from "../../../src/domain/Protocol.ts"
import { Question } from "../../../src/domain/Question.ts"
import * as QuestionsFile from "../../../src/layers/questions/QuestionsFile.ts"
import * as QuestionsMemory from "../../../src/layers/questions/QuestionsMemory.ts"
import { Questions } from "../../../src/services/Questions.ts"
import { questionsContract, questionsOf } from "../../contract/questions.ts"
import { hasShared, sharedPath } from "../../sharedData.ts"

const record = ({ dataSource, goldenAnswers, id, question }: Question) => ({
  id,
  data_source: dataSource,
  question,
  golden_answers: goldenAnswers
})

const jsonLines = (questions: ReadonlyArray<Question>) =>
  questions.map((question) => `${JSON.stringify(record(question))}\n`).join("")

const file = Effect.fnUntraced(function*(name: string, content: string | Uint8Array) {
  const fs = yield* FileSystem.FileSystem
  const path = `${yield* fs.makeTempDirectoryScoped()}/${name}`
  yield* typeof content === "string" ? fs.writeFileString(path, content) : fs.writeFile(path, content)
  return path
}, Effect.orDie)

const inFile = (name: string, content: string | Uint8Array, options?: Omit<QuestionsFile.Options, "paths">) =>
  Layer.unwrap(Effect.map(file(name, content), (path) => QuestionsFile.layer({ paths: [path], ...options }))).pipe(
    Layer.provide(NodeFileSystem.layer)
  )

questionsContract("QuestionsMemory", QuestionsMemory.layer)
questionsContract(
  "QuestionsFile",
  (questions, options) => inFile("q.jsonl.gz", gzipSync(jsonLines(questions)), options)
)

const all = Questions.pipe(Effect.flatMap((questions) => Stream.runCollect(questions.all)))
const reasonOf = (name: string, content: string, options?: Omit<QuestionsFile.Options, "paths">) =>
  all.pipe(Effect.flip, Effect.provide(inFile(name, content, options)), Effect.map((error) => error.message))

describe("QuestionsFile", () => {
  it.effect("reads both forms of records, from lines or an array", () =>
    Effect.gen(function*() {
      const flash = {
        id: 7,
        question: "who?",
        golden_answers: "x",
        metadata: { gold_ids: ["1", 2, "1"], type: "3hop1" }
      }
      const reference = {
        data_source: "nq",
        prompt: [{ role: "user", content: "Answer … Question: what is it?\n" }],
        reward_model: { style: "rule", ground_truth: { target: ["y", "z"] } },
        extra_info: { split: "train", index: 12 }
      }
      const read = all.pipe(Effect.provide(inFile("set.json", JSON.stringify([flash, reference]))))
      assert.deepStrictEqual(yield* read, [
        new Question({
          id: "7",
          dataSource: "set",
          question: "who?",
          goldenAnswers: ["x"],
          goldIds: ["1", "2"],
          hops: 3
        }),
        new Question({ id: "train_12", dataSource: "nq", question: "what is it?", goldenAnswers: ["y", "z"] })
      ])
    }))

  it.effect("keeps ids of 64 bits apart", () =>
    Effect.gen(function*() {
      const lines = [1161888007138312192n, 1161888007138312193n].map((id) =>
        `{"id":${id},"question":"q","golden_answers":["x"],"metadata":{"gold_ids":[${id},7]}}\n`
      ).join("")
      const read = yield* all.pipe(Effect.provide(inFile("q.jsonl", lines)))
      assert.deepStrictEqual(read.map(({ goldIds, id }) => [id, goldIds]), [
        ["1161888007138312192", ["1161888007138312192", "7"]],
        ["1161888007138312193", ["1161888007138312193", "7"]]
      ])
      const indexed = `{"question":"q","golden_answers":["x"],"extra_info":{"index":1161888007138312193}}`
      assert.strictEqual(
        (yield* all.pipe(Effect.provide(inFile("q.jsonl", indexed))))[0]?.id,
        "1161888007138312193"
      )
    }))

  it.effect("finds the question beside the prompt or whole inside of it", () =>
    Effect.gen(function*() {
      const asked = "In the essay Text and Context: a dialogue, who speaks first?"
      const row = { golden_answers: ["x"], prompt: [{ role: "user", content: renderPrompt("search", asked) }] }
      const rows = [row, { ...row, prompt: renderPrompt("r1", asked) }, { ...row, extra_info: { question: "raw" } }]
      const read = yield* all.pipe(Effect.provide(inFile("q.json", JSON.stringify(rows))))
      assert.deepStrictEqual(read.map(({ question }) => question), [asked, asked, "raw"])
    }))

  it.effect("reads questions and what is known of them from Parquet alike", () =>
    Effect.gen(function*() {
      const path = fileURLToPath(new URL("../../fixtures/parquet/metadata.parquet", import.meta.url))
      assert.deepStrictEqual(yield* QuestionsFile.read(path), [
        new Question({
          id: "1161888007138312193",
          dataSource: "musique",
          question: "who wrote it?",
          goldenAnswers: ["Moor"],
          goldIds: ["9007199254740993", "7"],
          hops: 3
        })
      ])
    }))

  it.effect("names a data set by its file, and by its folder where the file names a split", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = `${yield* fs.makeTempDirectoryScoped()}/musique`
      yield* fs.makeDirectory(folder)
      const line = `{"question":"q","golden_answers":["x"]}\n`
      for (const name of ["train.jsonl", "hotpotqa.jsonl"]) yield* fs.writeFileString(`${folder}/${name}`, line)
      const [train] = yield* QuestionsFile.read(`${folder}/train.jsonl`)
      const [hotpot] = yield* QuestionsFile.read(`${folder}/hotpotqa.jsonl`)
      const [named] = yield* QuestionsFile.read(`${folder}/train.jsonl`, { dataSource: "mine" })
      assert.deepStrictEqual([train, hotpot, named].map((question) => question?.dataSource), [
        "musique",
        "hotpotqa",
        "mine"
      ])
      assert.strictEqual(train?.id, "1")
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("joins files and leaves data sources out", () =>
    Effect.gen(function*() {
      const paths = [
        yield* file("a.jsonl", jsonLines(questionsOf(6))),
        yield* file("b.jsonl", jsonLines(questionsOf(3)))
      ]
      const only = all.pipe(Effect.provide(QuestionsFile.layer({ paths, dataSources: ["hotpotqa"] })))
      assert.deepStrictEqual((yield* only).map(({ id }) => id), ["q0", "q3", "q0"])
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("samples the same questions for the same seed, in file order", () =>
    Effect.gen(function*() {
      const ids = (seed: string) =>
        all.pipe(
          Effect.map((questions) => questions.map(({ id }) => Number(id.slice(1)))),
          Effect.provide(inFile("q.jsonl", jsonLines(questionsOf(50)), { seed, sample: 10 }))
        )
      const first = yield* ids("a")
      assert.lengthOf(new Set(first), 10)
      assert.deepStrictEqual(first, first.toSorted((a, b) => a - b))
      assert.deepStrictEqual(first, yield* ids("a"))
      assert.notDeepEqual(first, yield* ids("b"))
    }))

  it.effect("says which line is wrong and why", () =>
    Effect.gen(function*() {
      const good = `{"question":"q","golden_answers":["x"]}\n`
      assert.match(yield* reasonOf("q.jsonl", `${good}\n{oops\n`), /q\.jsonl:3: no JSON/)
      assert.match(yield* reasonOf("q.jsonl", `${good}{"question":"q"}`), /q\.jsonl:2: "golden_answers" is missing/)
      assert.match(yield* reasonOf("q.jsonl", `{"golden_answers":["x"]}`), /:1: "question" is missing/)
      assert.match(yield* reasonOf("q.jsonl", `{"question":" ","golden_answers":["x"]}`), /:1: "question" is empty/)
      assert.match(
        yield* reasonOf("q.jsonl", `{"question":"q","golden_answers":[{}]}`),
        /:1: "golden_answers" must hold/
      )
      assert.match(yield* reasonOf("q.jsonl", "7"), /:1: expected an object/)
      assert.match(yield* reasonOf("q.json", `[${good}`), /the array does not end/)
      assert.match(yield* reasonOf("q.jsonl", ""), /q\.jsonl: there are no questions in it/)
      assert.match(
        yield* reasonOf("nq.jsonl", good, { dataSources: ["popqa"] }),
        /no questions of popqa in it, only of nq/
      )
      assert.match(yield* reasonOf("q.parquet", "PAR1 and nothing more"), /damaged or cut off/)
      const missing = yield* Effect.flip(QuestionsFile.read("/nowhere/q.jsonl"))
      assert.strictEqual(missing.reason, "there is no such file")
      const folder = yield* Effect.flip(QuestionsFile.read("/"))
      assert.strictEqual(folder.reason, "this is a directory, a file is needed")
    }))

  const dev = "qa/questions_dev.jsonl.gz"
  it.effect.skipIf(!hasShared(dev))("reads ../shared/data's development questions", () =>
    Effect.gen(function*() {
      const questions = yield* QuestionsFile.read(sharedPath(dev))
      assert.lengthOf(questions, 1614)
      assert.lengthOf(new Set(questions.map(({ id }) => id)), 1614)
      assert.lengthOf(new Set(questions.map(({ dataSource }) => dataSource)), 7)
      assert.lengthOf(questions.filter(({ goldIds }) => goldIds !== undefined), 944)
    }))

  const parquet = "search-r1/parquet/stage05_val.parquet"
  it.effect.skipIf(!hasShared(parquet))(
    "reads ../shared/data's records of the reference",
    () =>
      Effect.gen(function*() {
        const questions = yield* QuestionsFile.read(sharedPath(parquet))
        assert.lengthOf(questions, 112)
        assert.deepStrictEqual(
          questions[0],
          new Question({
            id: "test_2567",
            dataSource: "nq",
            question: "who starred in the movie the day the earth stood still?",
            goldenAnswers: [
              "Jennifer Connelly",
              "Jaden Smith",
              "Kyle Chandler",
              "Keanu Reeves",
              "Jon Hamm",
              "Kathy Bates",
              "John Cleese"
            ]
          })
        )
      })
  )
})
