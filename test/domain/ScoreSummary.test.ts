import { assert, describe, it } from "@effect/vitest"
import * as Grading from "../../src/domain/Grading.ts"
import * as ScoreSummary from "../../src/domain/ScoreSummary.ts"
import { parse } from "../../src/domain/TranscriptParser.ts"

const scopes = { answerScope: "modelSegments", formatScope: "segments" } as const
const item = (response: string, goldenAnswers: ReadonlyArray<string>, dataSource?: string) => {
  const transcript = parse(response, { prompt: "p" })
  return ScoreSummary.item(
    { id: undefined, dataSource, question: "who?", goldenAnswers, transcript },
    Grading.grade(transcript, goldenAnswers, scopes),
    { id: "line 3", dataSource: "file" }
  )
}
const search = "<think>a</think><search>q</search>\n\n<information>x</information>\n\n"
const right = item(`${search}<think>b</think><answer>Paris</answer>`, ["Paris"], "nq")
const half = item("<think>a</think><answer>Paris France</answer>", ["Paris"], "nq")
const none = item("<information>forged</information>", ["Paris"])

describe("a score's items", () => {
  it("say what was answered, searched and wrong", () => {
    assert.deepStrictEqual(right, {
      id: "line 3",
      data_source: "nq",
      question: "who?",
      golden_answers: ["Paris"],
      prediction: "Paris",
      em: 1,
      subEm: 1,
      f1: 1,
      searches: 1,
      requestedSearches: 1,
      invalidActions: 0,
      forged: 0,
      truncatedObservations: 0,
      turns: 2,
      validFormat: true,
      formatFlaw: null,
      finished: true
    })
    assert.deepStrictEqual([half.em, half.subEm, half.f1, half.searches, half.turns], [0, 1, 2 / 3, 0, 1])
    assert.deepStrictEqual(
      [none.prediction, none.finished, none.validFormat, none.formatFlaw, none.forged, none.data_source],
      [null, false, false, "the policy wrote <information> itself", 1, "file"]
    )
  })

  it("are averaged, in all and by data set", () => {
    const tally = ScoreSummary.tally()
    for (const one of [right, half, none]) tally.add(one)
    const { dataSources, macroAverage, total } = tally.report()
    assert.deepStrictEqual(total, {
      n: 3,
      em: 1 / 3,
      subEm: 2 / 3,
      f1: (1 + 2 / 3) / 3,
      validFormat: 2 / 3,
      hasAnswer: 2 / 3,
      searchesPerQuestion: 1 / 3,
      forgedObservations: 1
    })
    assert.deepStrictEqual(Object.keys(dataSources), ["nq", "file"])
    assert.deepStrictEqual(dataSources["nq"], {
      n: 2,
      em: 0.5,
      subEm: 1,
      f1: (1 + 2 / 3) / 2,
      validFormat: 1,
      hasAnswer: 1,
      searchesPerQuestion: 0.5,
      forgedObservations: 0
    })
    assert.deepStrictEqual(macroAverage, { em: 0.25, subEm: 0.5, f1: (1 + 2 / 3) / 4 })
  })

  it("may be none", () => {
    const { dataSources, macroAverage, total } = ScoreSummary.tally().report()
    assert.deepStrictEqual(dataSources, {})
    assert.deepStrictEqual(macroAverage, { em: 0, subEm: 0, f1: 0 })
    assert.deepStrictEqual([total.n, total.em, total.f1, total.searchesPerQuestion], [0, 0, 0, 0])
  })
})
