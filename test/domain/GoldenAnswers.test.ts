// @effect-diagnostics nodeBuiltinImport:off
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema, Stream } from "effect"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as GoldenAnswers from "../../src/domain/GoldenAnswers.ts"
import * as Json from "../../src/domain/Json.ts"
import * as JsonRecords from "../../src/domain/JsonRecords.ts"
import * as QuestionRecord from "../../src/domain/QuestionRecord.ts"
import * as Recording from "../../src/domain/Recording.ts"
import * as TrainingLog from "../../src/domain/TrainingLog.ts"
import * as ParquetFile from "../../src/layers/parquetFile.ts"

/** Made by pyarrow, pandas and NumPy, see `make.py` beside the files. */
const fixture = (name: string) => new URL(`../fixtures/golds/${name}`, import.meta.url)

const Expected = Schema.NullOr(Schema.Array(Schema.String))
const Fixtures = Schema.fromJsonString(Schema.Struct({
  values: Schema.Array(Schema.Struct({
    name: Schema.String,
    json: Schema.optionalKey(Schema.String),
    parquet: Schema.optionalKey(Schema.String),
    printed: Schema.String,
    expected: Expected
  })),
  records: Schema.Array(
    Schema.Struct({ name: Schema.String, json: Schema.String, parquet: Schema.String, expected: Expected })
  )
}))
const { records, values } = Schema.decodeUnknownSync(Fixtures)(readFileSync(fixture("golds.json"), "utf8"))

const orNull = (answers: Result.Result<ReadonlyArray<string>, string>) => Result.getOrElse(answers, () => null)

const question = (value: unknown) =>
  orNull(Result.map(
    QuestionRecord.fromJson(value, { id: "1", dataSource: "nq" }),
    ({ goldenAnswers }) => goldenAnswers
  ))

const recording = (value: unknown) =>
  orNull(Result.map(Recording.fromJson(value), ({ goldenAnswers }) => goldenAnswers))

const row = (name: string) =>
  Stream.runCollect(ParquetFile.batches(fileURLToPath(fixture(name)), QuestionRecord.columns)).pipe(
    Effect.map((batches) => batches.flat()[0])
  )

const log = (printed: string) => {
  const splitter = TrainingLog.make()
  const text = `${
    "-".repeat(32)
  }\nGolden answers: ${printed}\nExtracted answer: x\nSolution string: <answer> x </answer>\n`
  const [record] = [...splitter.push(text), ...splitter.end()]
  assert(record !== undefined)
  return orNull(Result.flatMap(
    JsonRecords.value(record),
    (value) => Result.map(Recording.fromJson(value), ({ goldenAnswers }) => goldenAnswers)
  ))
}

describe("one reading of golden answers", () => {
  it.each(values)("of $name in JSON, as question and as recording", ({ expected, json }) => {
    if (json === undefined) return
    const line = `{"question":"q?","response":"r","golden_answers":${json}}`
    const value = Result.getOrThrow(Json.parse(line))
    assert.deepStrictEqual(question(value), expected)
    assert.deepStrictEqual(recording(value), expected)
  })

  it.effect.each(values)("of $name in Parquet", ({ expected, parquet }) =>
    Effect.gen(function*() {
      if (parquet !== undefined) assert.deepStrictEqual(question(yield* row(parquet)), expected)
    }))

  it.each(values)("of $name in a log", ({ expected, printed }) => {
    assert.deepStrictEqual(log(printed), expected)
  })

  it.effect.each(records)(
    "of a record with $name, in JSON and in Parquet",
    ({ expected, json, parquet }) =>
      Effect.gen(function*() {
        const value = { question: "q?", response: "r", ...JSON.parse(json) }
        assert.deepStrictEqual(question(value), expected)
        assert.deepStrictEqual(recording(value), expected)
        assert.deepStrictEqual(question(yield* row(parquet)), expected)
      })
  )
})

describe("golden answers", () => {
  const failure = (fields: Readonly<Record<string, unknown>>) => Result.merge(GoldenAnswers.ofRecord(fields))

  it("say why there are none", () => {
    assert.strictEqual(failure({}), "\"golden_answers\" is missing")
    assert.strictEqual(
      failure({ golden_answers: null }),
      "\"golden_answers\" is null: there is nothing to grade against"
    )
    assert.strictEqual(
      failure({ golden_answers: [] }),
      "\"golden_answers\" is empty: there is nothing to grade against"
    )
    assert.strictEqual(
      failure({ reward_model: { ground_truth: { target: [null] } } }),
      "\"reward_model.ground_truth\" is empty: there is nothing to grade against"
    )
    assert.match(String(failure({ golden_answers: [{ text: "x" }] })), /"golden_answers" must hold .*, got an object/)
    assert.match(String(failure({ golden_answers: "['a' 'b' ... 'y' 'z']" })), /"golden_answers" were printed with/)
    assert.match(String(failure({ golden_answers: new Date(0) })), /got a date/)
    let nested: unknown = "x"
    for (let depth = 0; depth < 100_000; depth++) nested = [nested]
    assert.match(String(failure({ golden_answers: nested })), /nested too deeply/)
  })

  it("are looked for elsewhere where pandas wrote NaN for null", () => {
    const record = Result.getOrThrow(
      Json.parse("{\"golden_answers\": NaN, \"reward_model\": {\"ground_truth\": [\"x\", NaN]}}")
    )
    assert.deepStrictEqual(
      GoldenAnswers.ofRecord(record as Readonly<Record<string, unknown>>),
      Result.succeed(["x"])
    )
  })

  it.each([
    ["[Untitled]", ["[Untitled]"]],
    ["(What's the Story) Morning Glory?", ["(What's the Story) Morning Glory?"]],
    ["\"Heroes\"", ["Heroes"]],
    ["1.50", ["1.50"]],
    ["007", ["007"]],
    ["f(1)", ["f(1)"]],
    ["datetime.date(1998, 1, 1)", ["datetime.date(1998, 1, 1)"]],
    ["np.str_('x')", ["x"]]
  ])("of a log may be one text: %s", (printed, expected) => {
    assert.deepStrictEqual(Result.getOrThrow(GoldenAnswers.fromPrinted(printed)), expected)
  })

  it("of a log that is cut off are none", () => {
    for (const printed of ["['Paris' 'pa", "['Paris'", "{'target': array(['x'"]) {
      assert.include(String(Result.merge(GoldenAnswers.fromPrinted(printed))), "cut off")
    }
  })
})
