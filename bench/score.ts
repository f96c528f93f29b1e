/**
 * What `search-r1 score` costs: recorded trajectories of three searches with three passages each, as JSON lines through
 * `Score.run`, beside parsing the same lines as JSON and nothing more. Memory is measured behind a collection before and
 * after, to show that it does not grow with the number of trajectories.
 *
 * Options: `--trajectories N` (default 100000).
 */
import { Effect, Stream } from "effect"
import * as Presets from "../src/domain/Presets.ts"
import * as Prng from "../src/domain/Prng.ts"
import { renderPrompt, wrapInformation } from "../src/domain/Protocol.ts"
import * as Score from "../src/programs/Score.ts"

const prng = Prng.make("bench/score")
const words = "the answer of a question about places and people who lived there long ago in some city".split(" ")
const prose = (count: number) => Array.from({ length: count }, () => words[prng.below(words.length)]).join(" ")

const passages = () =>
  Array.from({ length: 3 }, (_, index) => `Doc ${index + 1}(Title: "${prose(3)}") ${prose(100)}\n`).join("")
const turn = () => `<think>${prose(40)}</think>\n<search> ${prose(6)} </search>${wrapInformation(passages())}`

const record = (id: number): string =>
  `${
    JSON.stringify({
      id: `q${id}`,
      data_source: ["nq", "hotpotqa", "popqa"][id % 3],
      question: prose(10),
      golden_answers: [prose(2), prose(3)],
      prompt: renderPrompt("search", prose(10)),
      response: `${turn()}${turn()}${turn()}<think>${prose(40)}</think>\n<answer> ${prose(3)} </answer>`
    })
  }\n`

const batch = Array.from({ length: 500 }, (_, id) => record(id))
const text = batch.join("")
const bytes = new TextEncoder().encode(text).length

const heap = (): number => {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed / 2 ** 20
}

const score = (trajectories: number) =>
  Effect.runPromise(Score.run([{
    path: "bench",
    dataSource: "bench",
    text: Stream.fromIterable(Array.from({ length: Math.ceil(trajectories / batch.length) }, () => text)).pipe(
      Stream.rechunk(1)
    )
  }], {
    scopes: Presets.fixed,
    skipBad: false,
    onItems: () => Effect.void,
    onSkipped: () => Effect.void
  }))

export const run = async (args: ReadonlyArray<string>) => {
  const at = args.indexOf("--trajectories")
  const trajectories = at === -1 ? 100_000 : Number(args[at + 1])
  await score(2 * batch.length)
  const before = heap()
  let start = performance.now()
  const { report } = await score(trajectories)
  const seconds = (performance.now() - start) / 1000
  const growth = heap() - before

  start = performance.now()
  let characters = 0
  for (let done = 0; done < report.total.n; done += batch.length) {
    for (const line of batch) characters += String(JSON.parse(line).response).length
  }
  const parseSeconds = (performance.now() - start) / 1000
  const perSecond = Math.round(report.total.n / seconds)
  process.stderr.write(
    `${perSecond.toLocaleString("en")} trajectories a second of ${
      Math.round(characters / report.total.n)
    } characters each, ${(seconds / parseSeconds).toFixed(2)} times the time of parsing the JSON alone; heap +${
      growth.toFixed(1)
    } MiB\n`
  )
  return {
    trajectories: report.total.n,
    trajectoriesPerSecond: perSecond,
    megabytesPerSecond: Math.round((bytes / batch.length) * perSecond / 1e6),
    timesJsonParse: Number((seconds / parseSeconds).toFixed(2)),
    heapGrowthMiB: Number(growth.toFixed(1))
  }
}
