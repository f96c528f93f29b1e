/**
 * What a rollout costs beside the model and the search engine: 2,560 four-turn rollouts (a step of the reference:
 * 512 prompts, groups of 5) of a scripted policy over an in-memory retriever, ten times over, in one process.
 * The baseline is the same conversation as a bare loop over strings without effects, types or cancellation.
 */
import { Effect, Layer, Stream } from "effect"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { formatDocuments, parseAction, renderPrompt, wrapInformation } from "../src/domain/Protocol.ts"
import { Question } from "../src/domain/Question.ts"
import * as PolicyScripted from "../src/layers/policy/PolicyScripted.ts"
import * as TokenizerBytes from "../src/layers/tokenizer/TokenizerBytes.ts"
import * as FairScheduler from "../src/programs/FairScheduler.ts"
import * as Rollout from "../src/programs/Rollout.ts"
import { Retriever } from "../src/services/Retriever.ts"

const promptCount = 512
const groupSize = 5
const repeats = 10

const documents = Array.from({ length: 3 }, (_, index) => ({
  id: String(index),
  title: `"Passage ${index}"`,
  text: "A hundred words of an encyclopedia, more or less, ".repeat(8),
  score: 1 - index / 10
}))

const turns = [
  "<think>I need the city of birth.</think>\n<search> where was she born </search>",
  "<think>Now the country.</think>\n<search> which country is it in </search>",
  "<think>And its capital.</think>\n<search> capital of the country </search>",
  "<think>I know it.</think>\n<answer> Paris </answer>"
] as const

const questions = Array.from({ length: promptCount }, (_, index) =>
  new Question({
    id: String(index),
    dataSource: "bench",
    question: `what is the capital of the country where person ${index} was born`,
    goldenAnswers: ["Paris"]
  }))

const layers = Layer.mergeAll(
  FairScheduler.layer,
  PolicyScripted.layer(turns),
  Layer.succeed(Retriever, Retriever.fromSearch("memory", () => Effect.succeed(documents)))
).pipe(Layer.provideMerge(TokenizerBytes.layer))

const step = Rollout.outcomes(Rollout.instances(Stream.fromIterable(questions)), {
  groupSize,
  concurrency: 256,
  maxContextTokens: 8192
}).pipe(
  Stream.runFold(() => ({ completed: 0, turns: 0 }), (sum, outcome) =>
    outcome._tag === "Completed"
      ? { completed: sum.completed + 1, turns: sum.turns + outcome.trajectory.counts.turns }
      : sum),
  Effect.provide(layers)
)

const encoder = new TextEncoder()

const bareStep = () => {
  let tokens = 0
  for (const question of questions) {
    for (let sample = 0; sample < groupSize; sample++) {
      let context = renderPrompt("search", question.question)
      for (const turn of turns) {
        context += turn
        if (parseAction(turn)._tag === "Search") context += wrapInformation(formatDocuments(documents))
      }
      tokens += encoder.encode(context).length
    }
  }
  return tokens
}

const median = (values: ReadonlyArray<number>) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN

export const run = async () => {
  const rates: Array<number> = []
  const heaps: Array<number> = []
  const delay = monitorEventLoopDelay({ resolution: 1 })
  await Effect.runPromise(step)
  delay.enable()
  for (let repeat = 0; repeat < repeats; repeat++) {
    const start = performance.now()
    const { completed, turns } = await Effect.runPromise(step)
    rates.push(completed / ((performance.now() - start) / 1000))
    if (completed !== promptCount * groupSize || turns !== completed * 4) throw new Error("the rollouts went wrong")
    globalThis.gc?.()
    heaps.push(process.memoryUsage().heapUsed / 2 ** 20)
    process.stderr.write(
      `repeat ${repeat + 1}: ${Math.round(rates.at(-1) ?? 0)} rollouts/s, heap ${Math.round(heaps.at(-1) ?? 0)} MiB\n`
    )
  }
  delay.disable()
  bareStep()
  const bareStart = performance.now()
  bareStep()
  const bare = promptCount * groupSize / ((performance.now() - bareStart) / 1000)
  const rolloutsPerSecond = median(rates)
  return {
    rolloutsPerSecond: Math.round(rolloutsPerSecond),
    eventLoopDelayP99Ms: Number((delay.percentile(99) / 1e6).toFixed(2)),
    eventLoopDelayMaxMs: Number((delay.max / 1e6).toFixed(2)),
    heapMiBFirst: Number((heaps[0] ?? 0).toFixed(1)),
    heapMiBLast: Number((heaps.at(-1) ?? 0).toFixed(1)),
    bareLoopRolloutsPerSecond: Math.round(bare),
    ratioToBareLoop: Number((rolloutsPerSecond / bare).toFixed(3))
  }
}
