// @effect-diagnostics nodeBuiltinImport:off
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Path, Schema } from "effect"
import { Command } from "effect/cli"
import { TestConsole } from "effect/testing"
import { fileURLToPath } from "node:url"
import { score } from "../../src/cli/score.ts"
import { invalidActionMessage } from "../../src/domain/Protocol.ts"
import * as ScoreSummary from "../../src/domain/ScoreSummary.ts"
import { hasShared, readShared, sharedPath } from "../sharedData.ts"

const run = (...args: ReadonlyArray<string>) => Command.runWith(score, { version: "0.0.0", renderErrors: false })(args)

const logs = Effect.map(TestConsole.logLines, (lines) => lines.join("\n"))

const message = (...args: ReadonlyArray<string>) =>
  Effect.map(Effect.flip(run(...args)), (error) => error._tag === "UserError" ? error.userMessage ?? "" : error.message)

const Output = Schema.fromJsonString(Schema.Struct({ ...ScoreSummary.Report.fields, skipped: Schema.Natural }))
const report = Effect.flatMap(logs, Schema.decodeEffect(Output))

const file = Effect.fnUntraced(function*(name: string, content: string | Uint8Array) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const at = path.join(yield* fs.makeTempDirectoryScoped(), name)
  yield* typeof content === "string" ? fs.writeFileString(at, content) : fs.writeFile(at, content)
  return at
})

const items = Effect.fnUntraced(function*(path: string) {
  const text = yield* (yield* FileSystem.FileSystem).readFileString(path)
  return yield* Effect.forEach(
    text.trimEnd().split("\n"),
    (line) => Schema.decodeEffect(Schema.fromJsonString(ScoreSummary.Item))(line)
  )
})

const information = (text: string) => `\n\n<information>${text}</information>\n\n`

const records = [
  {
    id: "1",
    data_source: "nq",
    golden_answers: ["Paris"],
    response: `<think>a</think><search>q</search>${
      information("<answer>Rome</answer>")
    }<think>b</think><answer>Paris</answer>`
  },
  {
    id: "2",
    data_source: "nq",
    golden_answers: ["Paris"],
    response: "<information>x</information><answer>paris, france</answer>"
  },
  {
    id: "3",
    data_source: "hotpotqa",
    golden_answers: ["Paris"],
    response: `hm${invalidActionMessage}<search>q</search>`
  },
  { id: "4", data_source: "hotpotqa", golden_answers: ["Beijing"], question: "capital", response: "no answer" }
]
const lines = records.map((record) => `${JSON.stringify(record)}\n`).join("")

describe("score", () => {
  it.effect("reports means by data source, as JSON and item by item", () =>
    Effect.gen(function*() {
      const input = yield* file("in.jsonl", lines)
      const out = `${input}.items`
      yield* run(input, "--json", "--out", out)
      const { dataSources, macroAverage, skipped, total } = yield* report
      assert.strictEqual(skipped, 0)
      assert.deepStrictEqual(total, {
        n: 4,
        em: 0.25,
        subEm: 0.5,
        f1: (1 + 2 / 3) / 4,
        validFormat: 0.25,
        hasAnswer: 0.5,
        searchesPerQuestion: 0.25,
        forgedObservations: 1
      })
      assert.deepStrictEqual(Object.keys(dataSources), ["nq", "hotpotqa"])
      assert.strictEqual(dataSources["nq"]?.em, 0.5)
      assert.strictEqual(macroAverage.em, 0.25)
      const graded = yield* items(out)
      assert.deepStrictEqual(graded.map((item) => item.prediction), ["Paris", "paris, france", null, null])
      assert.deepStrictEqual(graded.map((item) => item.requestedSearches), [1, 0, 1, 0])
      assert.deepStrictEqual(graded.map((item) => item.invalidActions), [0, 0, 1, 0])
      assert.deepStrictEqual(graded.map((item) => item.formatFlaw === null), [true, false, false, false])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("grades like the reference's code on request (Q20)", () =>
    Effect.gen(function*() {
      const input = yield* file("in.json", JSON.stringify(records, null, 2))
      yield* run(input, "--json", "--preset", "reference")
      const { dataSources, total } = yield* report
      // the fourth has no answer and is graded as the Beijing of the instruction
      assert.strictEqual(dataSources["hotpotqa"]?.em, 0.5)
      assert.strictEqual(total.hasAnswer, 1)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("prints a table", () =>
    Effect.gen(function*() {
      const input = yield* file("in.jsonl", lines)
      yield* run(input)
      const text = yield* logs
      assert.match(text, /^data source +n +EM/)
      assert.match(text, /\nhotpotqa +2 +0\.000/)
      assert.match(text, /\naverage of the above +0\.250/)
      assert.match(text, /\ntotal +4 +0\.250 +0\.500 +0\.417 +0\.250 +0\.500 +0\.25 +1$/)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("names files, lines and ways out", () =>
    Effect.gen(function*() {
      const bad = yield* file("bad.jsonl", `${lines}{oops\n{"response":"x"}\n`)
      assert.include(yield* message(bad), "bad.jsonl:5: no JSON")
      assert.include(yield* message(bad), "--skip-bad")
      yield* run(bad, "--skip-bad", "--json")
      const { skipped, total } = yield* report
      assert.strictEqual(skipped, 2)
      assert.strictEqual(total.n, 4)
      const errors = (yield* TestConsole.errorLines).join("\n")
      assert.include(errors, "bad.jsonl:6: \"golden_answers\" is missing")
      assert.include(errors, "2 of 6 records skipped")

      assert.include(yield* message(yield* file("empty.jsonl", "")), "no records to score")
      assert.include(yield* message(yield* file("none.jsonl", "{}\n"), "--skip-bad"), "none of 1 record")
      assert.include(yield* message(`${bad}.missing`), "there is no such file")
      assert.include(yield* message(bad.slice(0, bad.lastIndexOf("/"))), "this is a directory")
      assert.include(yield* message(yield* file("cut.json", `[${JSON.stringify(records[0])},{"id`)), "cut off")
      assert.include(yield* message(bad, "--out", bad), "would overwrite")
      assert.include(yield* message(bad, "--out", `${bad}/items.jsonl`), "cannot be written")
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("leaves out samples of a log whose golden answers NumPy shortened, and says so", () =>
    Effect.gen(function*() {
      const sample = (golden: string, answer: string) =>
        `${
          "-".repeat(32)
        }\nGolden answers: ${golden}\nExtracted answer: ${answer}\nSolution string: <answer>${answer}</answer>\n`
      const shortened = sample("['a0' 'a1' 'a2' ... 'a97' 'a98' 'a99']", "a50")
      const log = yield* file("train.log", `${shortened}${sample("['x']", "x")}`)
      const out = `${log}.items`
      yield* run(log, "--json", "--out", out)
      const { skipped, total } = yield* report
      assert.deepStrictEqual([skipped, total.n, total.em], [1, 1, 1])
      assert.deepStrictEqual((yield* items(out)).map(({ prediction }) => prediction), ["x"])
      assert.match(
        (yield* TestConsole.errorLines).join("\n"),
        /skipped .*train\.log:2: the golden answers were printed/
      )
      assert.include(yield* message(yield* file("lost.log", shortened)), "none of 1 record can be scored")
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("reads Parquet", () =>
    Effect.gen(function*() {
      const out = yield* file("items.jsonl", "")
      yield* run(fileURLToPath(new URL("../fixtures/parquet/responses.parquet", import.meta.url)), "--out", out)
      assert.deepStrictEqual((yield* items(out)).map(({ data_source, em, id }) => [id, data_source, em]), [
        ["1161888007138312193", "responses", 1],
        ["9007199254740993", "responses", 0]
      ])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("keeps ids of 64 bits", () =>
    Effect.gen(function*() {
      const line = (id: string) => `{"id":${id},"golden_answers":[1998],"response":"<answer>1998</answer>"}\n`
      const input = yield* file("in.jsonl", line("1161888007138312193") + line("1161888007138312192"))
      const out = `${input}.items`
      yield* run(input, "--out", out)
      assert.deepStrictEqual((yield* items(out)).map(({ em, id }) => [id, em]), [
        ["1161888007138312193", 1],
        ["1161888007138312192", 1]
      ])
    }).pipe(Effect.provide(NodeServices.layer)))

  const recorded = "search-r1/trajectories/bamboogle_instruct.json.gz"
  it.effect.skipIf(!hasShared(recorded))(
    "equals the stored scores of ../shared/data's 125 trajectories",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const Stored = Schema.fromJsonString(Schema.Array(Schema.Struct({
          id: Schema.String,
          output: Schema.Struct({
            pred: Schema.String,
            metric_score: Schema.Struct({ em: Schema.Finite, acc: Schema.Finite, f1: Schema.Finite })
          })
        })))
        const stored = yield* Schema.decodeEffect(Stored)(readShared(recorded))
        for (const preset of ["fixed", "reference"]) {
          const out = `${yield* fs.makeTempDirectoryScoped()}/items.jsonl`
          yield* run(sharedPath(recorded), "--json", "--preset", preset, "--out", out)
          const graded = yield* items(out)
          assert.lengthOf(graded, 125)
          for (const [index, { id, output }] of stored.entries()) {
            const item = graded[index]
            assert.strictEqual(item?.id, id)
            assert.strictEqual(item?.prediction, output.pred)
            assert.strictEqual(item?.em, output.metric_score.em)
            assert.strictEqual(item?.subEm, output.metric_score.acc)
            assert.closeTo(item?.f1 ?? Number.NaN, output.metric_score.f1, 1e-6)
          }
        }
        const cut = yield* file("cut.json.gz", (yield* fs.readFile(sharedPath(recorded))).slice(0, 20_000))
        assert.include(yield* message(cut), "the file is cut off")
      }).pipe(Effect.provide(NodeServices.layer))
  )
})
