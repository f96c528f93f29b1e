/**
 * The training loop as a whole: where a step's time goes, tokens a second, and how both grow with the batch and the
 * length. `--peer COMMAND` runs another program of the same job in turns with ours and takes its times from the last
 * `cpu SECONDS t SECONDS` that it prints: `--steps N` (10), `--repeats N` (2).
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Clock, Effect, Layer, Result, type Schema, Stream } from "effect"
import { spawn } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import * as RunFolder from "../src/cli/runFolder.ts"
import { engineOf, storageOf } from "../src/cli/trainServices.ts"
import * as RunConfig from "../src/domain/RunConfig.ts"
import * as HeldOut from "../src/domain/world/HeldOut.ts"
import * as World from "../src/domain/world/World.ts"
import * as QuestionsMemory from "../src/layers/questions/QuestionsMemory.ts"
import * as RetrieverCache from "../src/layers/retriever/RetrieverCache.ts"
import * as RetrieverLunr from "../src/layers/retriever/RetrieverLunr.ts"
import * as RewardExactMatch from "../src/layers/reward/RewardExactMatch.ts"
import * as FairScheduler from "../src/programs/FairScheduler.ts"
import * as Train from "../src/programs/Train.ts"
import { Retriever } from "../src/services/Retriever.ts"

const training = HeldOut.exam({ seed: "bench/loop", count: 2000 })
const heldOut = HeldOut.exam({ seed: "bench/loop/held-out", count: 512 })

/** The recipe of `docs/learning.md`. Groups without a difference are left out of the updates, as the prototype does. */
const configOf = (part: { readonly steps: number; readonly every: number; readonly rollout?: Schema.JsonObject }) =>
  Result.getOrThrow(RunConfig.resolve({
    algorithm: "grpo",
    steps: part.steps,
    rollout: {
      prompts: 32,
      groupSize: 8,
      topK: 1,
      maxTurns: 4,
      maxPromptTokens: 64,
      maxResponseTokens: 24,
      maxObservationTokens: 60,
      maxContextTokens: 384,
      dynamicSampling: true,
      ...part.rollout
    },
    update: { miniBatches: 4, microBatchTokens: 8192, shuffle: true },
    loss: { entropyCoefficient: 0 },
    optimizer: {
      learningRate: 2e-4,
      schedule: { kind: "constant", warmupRatio: 0 },
      adamW: { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1 }
    },
    evaluation: { every: part.every, beforeTraining: false },
    checkpoints: { every: 0 }
  }))

/** Lunr with a memory of its answers; `spent.ms` is how long it kept this thread busy. */
const searching = (spent: { ms: number; searches: number }) =>
  RetrieverCache.layer().pipe(
    Layer.provide(Layer.effect(
      Retriever,
      Effect.map(Retriever, (inner) =>
        Retriever.fromSearch(inner.name, (query, options) =>
          Effect.suspend(() => {
            const begun = performance.now()
            return Effect.map(inner.search(query, options), (documents) => {
              spent.ms += performance.now() - begun
              spent.searches++
              return documents
            })
          })))
    )),
    Layer.provide(RetrieverLunr.layer(Stream.fromIterable(World.documents(training.world)), { cacheDirectory: false }))
  )

interface Measured {
  readonly seconds: number
  /** Seconds of all processors, of all threads. */
  readonly cpu: number
  readonly perStep: Readonly<Record<"sampling" | "searching" | "scoring" | "updating" | "rest", number>>
  readonly evaluation: number
  readonly trajectories: number
  readonly sampledTokens: number
  readonly tokens: number
  readonly searches: number
  readonly em: number | null
}

/** Trains, and measures the steps behind the first `skip`. */
const measure = (config: RunConfig.RunConfig, skip: number): Promise<Measured> =>
  Effect.gen(function*() {
    const directory = yield* Effect.acquireRelease(
      Effect.promise(() => mkdtemp(join(tmpdir(), "search-r1-loop-"))),
      (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
    )
    const folder = yield* RunFolder.at(directory)
    const spent = { ms: 0, searches: 0 }
    const exam = RetrieverLunr.layer(Stream.fromIterable(World.documents(heldOut.world)), { cacheDirectory: false })
    return yield* Effect.gen(function*() {
      const evaluationRetriever = yield* Effect.provide(Retriever, exam, { local: true })
      const sums = { rollout: 0, searching: 0, scoring: 0, updating: 0, total: 0, evaluation: 0 }
      const counts = { steps: 0, trajectories: 0, sampled: 0, tokens: 0, searches: 0 }
      let em: number | null = null
      let begun = yield* Clock.currentTimeMillis
      let cpuBegun = process.cpuUsage()
      yield* Train.run(config, { evaluation: Stream.fromIterable(heldOut.questions), evaluationRetriever }).pipe(
        Stream.runForEach((report) =>
          Effect.gen(function*() {
            em = report.evaluation?.total.em ?? em
            if (report.step <= skip) {
              begun = yield* Clock.currentTimeMillis
              cpuBegun = process.cpuUsage()
            } else {
              counts.steps++
              sums.rollout += report.seconds.rollout
              sums.searching += spent.ms / 1000
              sums.scoring += report.seconds.prepare
              sums.updating += report.seconds.update
              sums.total += report.seconds.total
              if (report.evaluation !== null) {
                sums.evaluation += report.seconds.total - report.seconds.rollout - report.seconds.prepare -
                  report.seconds.update
              }
              counts.trajectories += report.metrics["rollout/completed"] ?? 0
              counts.sampled += report.metrics["state_tokens/total"] ?? 0
              counts.tokens += (report.metrics["rollout/completed"] ?? 0) *
                ((report.metrics["response_length/mean"] ?? 0) + (report.metrics["prompt_length/mean"] ?? 0))
              counts.searches += spent.searches
            }
            spent.ms = 0
            spent.searches = 0
          })
        )
      )
      const seconds = ((yield* Clock.currentTimeMillis) - begun) / 1000
      const used = process.cpuUsage(cpuBegun)
      const share = (sum: number) => sum / counts.steps
      const result: Measured = {
        seconds,
        cpu: (used.user + used.system) / 1e6,
        perStep: {
          sampling: share(sums.rollout - sums.searching),
          searching: share(sums.searching),
          scoring: share(sums.scoring),
          updating: share(sums.updating),
          rest: share(sums.total - sums.rollout - sums.scoring - sums.updating - sums.evaluation)
        },
        evaluation: sums.evaluation,
        trajectories: share(counts.trajectories),
        sampledTokens: share(counts.sampled),
        tokens: share(counts.tokens),
        searches: share(counts.searches),
        em
      }
      return result
    }).pipe(Effect.provide([
      engineOf(config),
      searching(spent),
      RewardExactMatch.layer(),
      QuestionsMemory.layer(training.questions, { seed: 0 }),
      storageOf(folder, config),
      FairScheduler.layer
    ]))
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer), Effect.runPromise)

const rounded = (value: number, digits = 3): number => Number(value.toFixed(digits))

const table = ({ perStep, sampledTokens, tokens, trajectories }: Measured) => {
  const total = Object.values(perStep).reduce((sum, seconds) => sum + seconds, 0)
  return {
    trajectories: Math.round(trajectories),
    tokens: Math.round(tokens),
    secondsAStep: rounded(total, 2),
    shares: Object.fromEntries(Object.entries(perStep).map(([name, seconds]) => [name, rounded(seconds / total)])),
    sampledTokensPerSecond: Math.round(sampledTokens / (perStep.sampling + perStep.searching)),
    scoredTokensPerSecond: Math.round(tokens / perStep.scoring),
    updatedTokensPerSecond: Math.round(tokens / perStep.updating)
  }
}

const growth = async () => {
  const rows: Record<string, unknown> = {}
  for (const prompts of [8, 16, 32, 64]) {
    const config = configOf({ steps: 4, every: 0, rollout: { prompts } })
    rows[`batch ${prompts * 8}`] = table(await measure(config, 1))
    process.stderr.write(`batch ${prompts * 8}: ${JSON.stringify(rows[`batch ${prompts * 8}`])}\n`)
  }
  for (const topK of [1, 2, 3]) {
    const config = configOf({ steps: 4, every: 0, rollout: { topK, maxObservationTokens: 60 * topK } })
    const row = table(await measure(config, 1))
    rows[`passages a search ${topK}, ${Math.round(row.tokens / row.trajectories)} tokens a trajectory`] = row
    process.stderr.write(`${topK} passages: ${JSON.stringify(row)}\n`)
  }
  return rows
}

interface Times {
  readonly cpu: number
  readonly seconds: number
}

const peerTimes = (command: string): Promise<Times> =>
  new Promise((resolve, reject) => {
    const child = spawn("bash", ["-c", command], { stdio: ["ignore", "pipe", "inherit"] })
    let output = ""
    child.stdout.on("data", (bytes: Buffer) => {
      output += bytes.toString("utf8")
      process.stderr.write(bytes)
    })
    child.on("exit", (code) => {
      const [, cpu, seconds] = [...output.matchAll(/\bcpu ([\d.]+) t ([\d.]+)/g)].at(-1)?.map(Number) ?? []
      if (code === 0 && cpu !== undefined && seconds !== undefined) resolve({ cpu, seconds })
      else reject(new Error(`the peer ended with ${code} and told no time`))
    })
  })

const median = (values: ReadonlyArray<number>) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN

const compare = async (peer: string, steps: number, repeats: number) => {
  const ours: Array<Times> = []
  const theirs: Array<Times> = []
  let last: Measured | undefined
  for (let repeat = 0; repeat < repeats; repeat++) {
    last = await measure(configOf({ steps, every: 5 }), 0)
    ours.push(last)
    process.stderr.write(`ours ${rounded(last.seconds, 1)} s, EM ${last.em}\n`)
    theirs.push(await peerTimes(peer))
  }
  const ratio = (of: (times: Times) => number) => rounded(median(ours.map(of)) / median(theirs.map(of)))
  return {
    ours: ours.map(({ cpu, seconds }) => ({ cpu: rounded(cpu, 1), seconds: rounded(seconds, 1) })),
    peer: theirs,
    ratio: ratio(({ seconds }) => seconds),
    processorTimeRatio: ratio(({ cpu }) => cpu),
    tokensAStep: Math.round(last?.tokens ?? 0),
    em: last?.em,
    evaluationSeconds: rounded(last?.evaluation ?? 0, 1),
    perStep: last === undefined ? {} : table(last)
  }
}

export const run = async (args: ReadonlyArray<string>) => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      peer: { type: "string" },
      steps: { type: "string", default: "10" },
      repeats: { type: "string", default: "2" }
    }
  })
  return values.peer === undefined
    ? await growth()
    : await compare(values.peer, Number(values.steps), Number(values.repeats))
}
