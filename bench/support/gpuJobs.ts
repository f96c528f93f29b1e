/**
 * What a card is for, from the main job to a real model, as the commands that a user would type, and what must be there
 * for it. `toy` are sizes for trying all of it out on a processor.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Stream } from "effect"
import { spawn } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { gunzipSync } from "node:zlib"
import type { ModelConfig } from "../../src/domain/ModelConfig.ts"
import { save, type Tensor } from "../../src/layers/model/Weights.ts"
import { command } from "./commandProcess.ts"

export interface Jobs {
  /** Where models, runs and records are put. */
  readonly directory: string
  /** Holds `qa` and `tokenizers/qwen`. */
  readonly data: string
  /** An instruction-tuned model in Hugging Face's layout. */
  readonly instruct: string | undefined
  readonly toy: boolean
  /** The shape of the model with random weights, and these. */
  readonly random: {
    readonly config: ModelConfig
    readonly weights: (config: ModelConfig) => Stream.Stream<Tensor>
  }
}

const fileNames = {
  train: "qa/questions_train.jsonl.gz",
  dev: "qa/questions_dev.jsonl.gz",
  corpus: "qa/corpus_dev.jsonl.gz",
  tokenizer: "tokenizers/qwen/tokenizer.json.gz"
} as const

/** What is not there, each with what to do about it. */
export const missing = (jobs: Jobs, card: string | undefined): ReadonlyArray<string> => [
  ...card === undefined && !jobs.toy
    ? ["a card: PyTorch sees none (\"search-r1 device list\" tells; --toy tries everything out on a processor)"]
    : [],
  ...Object.values(fileNames).map((name) => join(jobs.data, name)).filter((file) => !existsSync(file)).map((file) =>
    `${file}: name the folder that holds it with --data`
  ),
  ...jobs.instruct !== undefined && existsSync(join(jobs.instruct, "config.json"))
    ? []
    : jobs.instruct === undefined && jobs.toy
    ? []
    : ["an instruction-tuned model in Hugging Face's layout, such as SmolLM2-135M-Instruct: --instruct DIR"]
]

const say = (line: string) => process.stderr.write(`${line}\n`)

/** Runs a command of the product, which must end well; gives what it printed. */
const product = async (args: ReadonlyArray<string>): Promise<string> => {
  say(`$ search-r1 ${args.join(" ")}`)
  const run = command(args)
  const code = await run.ended
  if (code !== 0) throw new Error(`search-r1 ${args[0]} ended with ${code}:\n${run.output().slice(-2000)}`)
  say(`  ${(run.elapsed() / 1000).toFixed(0)} s`)
  return run.output()
}

type Json = Readonly<Record<string, unknown>>

const isJson = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

const parse = (text: string): Json => {
  const value: unknown = JSON.parse(text)
  if (!isJson(value)) throw new TypeError(`an object was expected: ${text.slice(0, 80)}`)
  return value
}

const lines = (file: string): ReadonlyArray<Json> => {
  const bytes = readFileSync(file)
  const text = file.endsWith(".gz") ? gunzipSync(bytes).toString("utf8") : bytes.toString("utf8")
  return text.split("\n").filter((line) => line !== "").map(parse)
}

const writeLines = (file: string, records: ReadonlyArray<Json>): string => {
  writeFileSync(file, records.map((record) => `${JSON.stringify(record)}\n`).join(""))
  return file
}

/** The JSON object that a command ended with. */
const summary = (output: string): Json => {
  const line = output.split("\n").findLast((text) => text.startsWith("{") && text.endsWith("}"))
  if (line === undefined) throw new TypeError(`no JSON in what the command printed: ${output.slice(-500)}`)
  return parse(line)
}

/** Samples the card's share of busy time until it is asked for. */
const watchCard = (): () => number | null => {
  const samples: Array<number> = []
  const query = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200"]
  const watcher = spawn("nvidia-smi", query, { stdio: ["ignore", "pipe", "ignore"] })
  watcher.on("error", () => {})
  watcher.stdout.on("data", (bytes: Buffer) => {
    for (const line of bytes.toString("utf8").split("\n")) {
      if (/^\d+/.test(line)) samples.push(Number.parseInt(line, 10))
    }
  })
  return () => {
    watcher.kill()
    return samples.length === 0 ? null : samples.reduce((sum, busy) => sum + busy, 0) / samples.length / 100
  }
}

/** Seconds of each step by phase, as the run's log has them. */
const phases = (run: string): ReadonlyArray<unknown> =>
  lines(join(run, "log", "events.jsonl")).flatMap(({ detail, event }) =>
    event === "step" && isJson(detail) ? [detail.seconds] : []
  )

const train = async (
  jobs: Jobs,
  name: string,
  config: Json
): Promise<{ readonly run: string; readonly busy: number | null }> => {
  const file = join(jobs.directory, `${name}.json`)
  writeFileSync(file, JSON.stringify(config, null, 2))
  const runs = join(jobs.directory, "runs")
  const busy = watchCard()
  await product(["train", "--config", file, "--runs", runs, "--name", name])
  // A run's directory begins with the time at which it began.
  const run = readdirSync(runs).filter((found) => found.endsWith(`-${name}`)).toSorted().at(-1) ?? name
  return { run: join(runs, run), busy: busy() }
}

/** Search over the real passages, by BM25. */
const worldOf = (jobs: Jobs): Json => ({
  device: "torch",
  algorithm: "grpo",
  questions: { train: join(jobs.data, fileNames.train) },
  retriever: { kind: "bm25", corpus: join(jobs.data, fileNames.corpus) },
  evaluation: { every: 0, beforeTraining: false }
})

const toyLimits = { maxPromptTokens: 512, maxResponseTokens: 24, maxObservationTokens: 96, maxContextTokens: 768 }

const mainJob = async (jobs: Jobs) => {
  const report = join(jobs.directory, "start.json")
  const size = jobs.toy ? ["--steps", "1", "--questions", "16"] : []
  const runs = join(jobs.directory, "runs")
  await product(["start", "--device", "torch", "--report", report, "--runs", runs, ...size])
  return parse(readFileSync(report, "utf8"))
}

/** A model of the shape with random weights and Qwen's tokenizer. */
const writeRandom = async (jobs: Jobs): Promise<string> => {
  const directory = join(jobs.directory, "random-model")
  const { config, weights } = jobs.random
  const tokenizer = join(jobs.directory, "qwen-tokenizer")
  mkdirSync(tokenizer, { recursive: true })
  writeFileSync(join(tokenizer, "tokenizer.json"), gunzipSync(readFileSync(join(jobs.data, fileNames.tokenizer))))
  const tensors = new Map(
    (await Effect.runPromise(Stream.runCollect(weights(config)))).map((own) => [own.name, own.data])
  )
  await Effect.runPromise(
    save(directory, {
      config,
      read: ({ name }) => Effect.succeed(tensors.get(name) ?? new Float32Array()),
      companionsFrom: tokenizer
    }).pipe(Effect.provide(NodeServices.layer))
  )
  return directory
}

const threeSteps = async (jobs: Jobs, model: string) => {
  const { busy, run } = await train(jobs, "random-grpo", {
    ...worldOf(jobs),
    model,
    steps: 3,
    rollout: jobs.toy
      ? { prompts: 2, groupSize: 2, maxTurns: 1, ...toyLimits }
      : { prompts: 64, groupSize: 8, concurrency: 512 },
    checkpoints: { every: 0 }
  })
  return { seconds: phases(run), gpuBusyShare: busy }
}

/** What a model that searches would say: a search for the question, and the answer out of what came back. */
const scriptOf = ({ golden_answers: answers, id, question }: Json): Json => ({
  id,
  samples: [[
    `<think> I do not know this, so I search for it. </think>\n<search> ${String(question)} </search>`,
    `<think> The passages tell the answer. </think>\n<answer> ${
      String(Array.isArray(answers) ? answers[0] : "")
    } </answer>`
  ]]
})

const normal = (text: string): string => text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ")

/** Whether the passages that were found hold the answer that the script gave. */
const isHonest = (record: Json): boolean => {
  const trajectory = [record.scored, record].map((own) => isJson(own) ? own.trajectory ?? own : undefined).find((own) =>
    isJson(own) && "segments" in own
  )
  const segments: unknown = isJson(trajectory) ? trajectory.segments : undefined
  if (!Array.isArray(segments)) return false
  const text = (tag: string) =>
    segments.flatMap((own: unknown) => isJson(own) && own._tag === tag ? [String(own.text)] : []).join(" ")
  const answer = /<answer>(.*)<\/answer>/su.exec(text("Sampled"))?.[1] ?? ""
  return answer.trim() !== "" && normal(text("Observation")).includes(normal(answer).trim())
}

/** Demonstrations over the real passages, and the model that learned from them. */
const warmStart = async (jobs: Jobs, model: string) => {
  const { data, directory, toy } = jobs
  const script = writeLines(join(directory, "script.jsonl"), lines(join(data, fileNames.train)).map(scriptOf))
  const shown = join(directory, "shown.jsonl")
  await product([
    "rollout",
    "--questions",
    join(data, fileNames.train),
    "--script",
    script,
    "--corpus",
    join(data, fileNames.corpus),
    "--engine",
    "bm25",
    "--out",
    shown,
    "--group-size",
    "1",
    "--json",
    ...toy ? ["--limit", "12"] : []
  ])
  const honest = lines(shown).filter(isHonest)
  const demonstrations = writeLines(join(directory, "demonstrations.jsonl"), honest)
  const warm = join(directory, "warm-model")
  const speed = toy ? ["--batch-size", "2"] : ["--batch-size", "16"]
  await product([
    "sft",
    warm,
    "--model",
    model,
    "--data",
    demonstrations,
    "--epochs",
    "2",
    "--learning-rate",
    "1e-4",
    "--device",
    "torch",
    "--force",
    ...speed
  ])
  return { model: warm, demonstrations: honest.length }
}

/** Exact match on the development questions, greedily. */
const exam = async (jobs: Jobs, policy: ReadonlyArray<string>, search: boolean) => {
  const limits = jobs.toy ? ["--limit", "4", "--max-response-tokens", "24", "--max-observation-tokens", "96"] : []
  const how = search ? [] : ["--no-search", "--template", "r1"]
  const output = await product([
    "rollout",
    "--questions",
    join(jobs.data, fileNames.dev),
    ...policy,
    "--corpus",
    join(jobs.data, fileNames.corpus),
    "--engine",
    "bm25",
    ...how,
    "--group-size",
    "1",
    "--temperature",
    "0",
    "--concurrency",
    "256",
    "--device",
    "torch",
    "--json",
    ...limits
  ])
  return summary(output)
}

const realModel = async (jobs: Jobs, instruct: string) => {
  const both = async (policy: ReadonlyArray<string>) => ({
    search: await exam(jobs, policy, true),
    noSearch: await exam(jobs, policy, false)
  })
  const before = await both(["--model", instruct])
  const warm = await warmStart(jobs, instruct)
  const rollout = jobs.toy ? { prompts: 2, groupSize: 2, maxTurns: 1, ...toyLimits } : { prompts: 64, groupSize: 8 }
  const shared = {
    ...worldOf(jobs),
    steps: jobs.toy ? 1 : 60,
    optimizer: { learningRate: 1e-5 },
    checkpoints: { every: 20 }
  }
  const search = await train(jobs, "real-search", { ...shared, model: warm.model, rollout })
  const alone = await train(jobs, "real-no-search", {
    ...shared,
    model: instruct,
    rollout: { ...rollout, doSearch: false, template: "r1" }
  })
  return {
    before,
    demonstrations: warm.demonstrations,
    warm: await both(["--model", warm.model]),
    trained: {
      search: await exam(jobs, ["--run", search.run], true),
      noSearch: await exam(jobs, ["--run", alone.run], false)
    },
    seconds: { search: phases(search.run), noSearch: phases(alone.run) },
    gpuBusyShare: search.busy
  }
}

/** Runs all of it; a job that fails is reported, and the others go on. */
export const runAll = async (jobs: Jobs): Promise<Json> => {
  mkdirSync(join(jobs.directory, "runs"), { recursive: true })
  const results: Record<string, unknown> = { toy: jobs.toy }
  const attempt = async <A>(name: string, job: () => Promise<A>): Promise<A | undefined> => {
    say(`== ${name}`)
    try {
      const result = await job()
      results[name] = result
      return result
    } catch (cause) {
      results[name] = { failed: cause instanceof Error ? cause.message : String(cause) }
      say(String(cause))
      return undefined
    } finally {
      writeFileSync(join(jobs.directory, "results.json"), JSON.stringify(results, null, 2))
    }
  }
  await attempt("mainJob", () => mainJob(jobs))
  const random = await attempt("randomModel", () => writeRandom(jobs))
  if (random !== undefined) await attempt("threeSteps", () => threeSteps(jobs, random))
  const instruct = jobs.instruct ?? random
  if (instruct !== undefined) await attempt("realModel", () => realModel(jobs, instruct))
  return results
}
