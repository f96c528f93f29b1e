/** A training run over HTTP whose server is killed and started again, beside the same run on lunr in the process. */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { command, finish } from "./commandProcess.ts"

/** The recipe of `docs/learning.md` at any size. */
const config = (world: string, options: Options, retriever: object) => ({
  algorithm: "grpo",
  seed: 3,
  steps: options.steps,
  questions: { train: `${world}/train.jsonl`, evaluate: `${world}/dev.jsonl` },
  retriever,
  rollout: {
    prompts: options.prompts,
    groupSize: options.groupSize,
    topK: 1,
    maxPromptTokens: 64,
    maxResponseTokens: 24,
    maxObservationTokens: 60,
    maxContextTokens: 384
  },
  update: { miniBatches: Math.min(4, options.prompts), shuffle: true },
  loss: { entropyCoefficient: 0 },
  optimizer: { learningRate: 2e-4, schedule: { kind: "constant", warmupRatio: 0 } },
  evaluation: { every: 5, beforeTraining: true, questions: options.questions }
})

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

const until = async (condition: () => boolean | Promise<boolean>, what: string) => {
  const end = performance.now() + 180_000
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited in vain for ${what}`)
    await sleep(50)
  }
}

export interface Options {
  readonly directory: string
  readonly steps: number
  readonly prompts: number
  readonly groupSize: number
  readonly questions: number
  /** Passages of the world. */
  readonly size: number
  /** Steps during whose successor the server is killed. */
  readonly killAfter: ReadonlyArray<number>
  /** Milliseconds that it stays away. */
  readonly away: number
}

interface StepEvent {
  readonly event: string
  readonly detail: {
    readonly step: number
    readonly retries?: number
    readonly failures?: Readonly<Record<string, number>>
  }
}

/** Makes both runs. */
export const restartedServer = async (options: Options) => {
  const { away, directory, killAfter } = options
  const world = join(directory, "world")
  await mkdir(directory, { recursive: true })
  const size = [
    "--size",
    String(options.size),
    "--questions",
    String(5 * options.size),
    "--dev",
    String(options.questions)
  ]
  await finish(["world", world, "--seed", "3", ...size])
  const corpus = join(world, "corpus.jsonl")
  const port = await freePort()

  const train = async (name: string, retriever: object) => {
    const file = join(directory, `${name}.json`)
    await writeFile(file, JSON.stringify(config(world, options, retriever)))
    return command(["train", "--config", file, "--runs", join(directory, name), "--name", "run"])
  }
  const logOf = async (name: string) => {
    const [run] = await readdir(join(directory, name)).catch(() => [])
    const read = (file: string) => readFile(join(directory, name, run ?? "", "log", file), "utf8").catch(() => "")
    const events = (await read("events.jsonl")).trim().split("\n").filter(Boolean)
      .map((line): StepEvent => JSON.parse(line)).filter(({ event }) => event === "step")
    return { metrics: await read("metrics.jsonl"), events }
  }
  const ended = async (run: Awaited<ReturnType<typeof train>>, name: string) => {
    const code = await run.ended
    if (code !== 0) throw new Error(`the run on ${name} ended with ${code}:\n${run.output()}`)
    return run.elapsed() / 1000
  }

  const lunrSeconds = await ended(await train("lunr", { kind: "lunr", corpus, cache: 0 }), "lunr")

  const serve = async () => {
    const server = command(["serve", "--corpus", corpus, "--port", String(port)])
    await until(() => /retrieve/.test(server.output()), "the server")
    return server
  }
  let server = await serve()
  let restarts = 0
  const url = `http://127.0.0.1:${port}/retrieve`
  const remote = await train("remote", { kind: "remote", url, cache: 0 })
  let running = true
  void remote.ended.then(() => {
    running = false
  })
  for (const step of killAfter) {
    const made = async () => (await logOf("remote")).events.some(({ detail }) => detail.step >= step)
    await until(async () => !running || await made(), `step ${step}`)
    if (!running) break
    server.kill()
    await server.ended
    await sleep(away)
    server = await serve()
    restarts++
    process.stderr.write(`server killed behind step ${step} and started again\n`)
  }
  const remoteSeconds = await ended(remote, "the server").finally(() => server.kill())
  const lunr = await logOf("lunr")
  const { events, metrics } = await logOf("remote")
  return {
    steps: events.length,
    restarts,
    sameMetrics: metrics === lunr.metrics && metrics !== "",
    retries: events.reduce((sum, { detail }) => sum + (detail.retries ?? 0), 0),
    failedRollouts: events.reduce(
      (sum, { detail }) => sum + Object.values(detail.failures ?? {}).reduce((a, b) => a + b, 0),
      0
    ),
    lunrSeconds,
    remoteSeconds
  }
}
