/** A training run in a process that is killed at random moments and resumed, beside the same run left alone. */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { make } from "../../src/domain/Prng.ts"
import { command, finish } from "./commandProcess.ts"

/** A step of some 0.3 seconds on the shipped model, an evaluation every third step. */
const config = (world: string, steps: number, algorithm: string) => ({
  algorithm,
  seed: 3,
  steps,
  questions: { train: `${world}/train.jsonl`, evaluate: `${world}/dev.jsonl` },
  retriever: { kind: "lunr", corpus: `${world}/corpus.jsonl` },
  rollout: {
    prompts: 4,
    groupSize: algorithm === "ppo" ? 1 : 4,
    topK: 1,
    maxPromptTokens: 64,
    maxResponseTokens: 24,
    maxObservationTokens: 60,
    maxContextTokens: 384
  },
  update: { miniBatches: 2, shuffle: true },
  optimizer: { learningRate: 2e-4, schedule: { kind: "constant", warmupRatio: 0.1 } },
  evaluation: { every: 3, beforeTraining: true, questions: 16 },
  checkpoints: { every: 1, keepLast: 2 }
})

const lines = (text: string) => text.trim().split("\n")

const logOf = async (run: string) => {
  const trajectories = await readFile(join(run, "log", "trajectories.jsonl"), "utf8")
  return {
    metrics: await readFile(join(run, "log", "metrics.jsonl"), "utf8"),
    // what was sampled, not how likely it was: the last bits of that depend on who shared a decoding step
    texts: lines(trajectories).map((line) =>
      JSON.stringify(JSON.parse(line), (key, value: unknown) => key === "logProbs" ? undefined : value)
    )
  }
}

export interface KilledRun {
  /** Kills that hit a living process; fewer than wanted when the run ended before. */
  readonly kills: number
  /** The step that each process went on from, -1 for a beginning. */
  readonly resumedAt: ReadonlyArray<number>
  readonly steps: number
  readonly sameMetrics: boolean
  readonly sameTexts: boolean
  readonly unbrokenSeconds: number
  readonly brokenSeconds: number
}

/**
 * Makes both runs in `directory`. A third of the kills comes between the start of a process and its first step, the
 * others within the two steps after that.
 */
export const killedRun = async (options: {
  readonly directory: string
  readonly steps: number
  readonly kills: number
  readonly seed: string
  readonly algorithm?: string
}): Promise<KilledRun> => {
  const { algorithm = "grpo", directory, kills, seed, steps } = options
  const world = join(directory, "world")
  const file = join(directory, "config.json")
  await mkdir(directory, { recursive: true })
  await finish(["world", world, "--seed", "3", "--size", "60", "--questions", "40", "--dev", "16"])
  await writeFile(file, JSON.stringify(config(world, steps, algorithm)))
  const start = (name: string) => ["train", "--config", file, "--runs", join(directory, name), "--name", "run"]

  const { elapsed, firstStep } = await finish(start("unbroken"))
  const stepTime = (elapsed - firstStep) / (steps - 1)
  const folderOf = async (name: string) => {
    const [run] = await readdir(join(directory, name)).catch(() => [])
    return run === undefined ? undefined : join(directory, name, run)
  }

  const prng = make(seed)
  const resumedAt: Array<number> = []
  const brokenBegun = performance.now()
  let made = 0
  while (true) {
    const folder = await folderOf("broken")
    const configured = folder !== undefined && (await readdir(folder)).includes("config.json")
    // a process that was killed before it wrote its configuration has left an empty directory
    const run = command(configured ? ["train", "--resume", folder] : start("broken"))
    const early = prng.float() < 1 / 3
    const moment = prng.float()
    let timer: NodeJS.Timeout | undefined
    const killIn = (milliseconds: number) => {
      timer = setTimeout(run.kill, milliseconds)
    }
    if (made < kills && early) killIn(moment * firstStep)
    else if (made < kills) void run.firstStep.then(() => killIn(moment * 2 * stepTime))
    const code = await run.ended
    clearTimeout(timer)
    resumedAt.push(Number(/resumed behind step (\d+)/.exec(run.output())?.[1] ?? -1))
    if (code === null) {
      made++
      const from = resumedAt.at(-1)
      process.stderr.write(
        `kill ${made} of ${kills} after ${Math.round(run.elapsed())} ms, ${
          from === -1 ? "begun" : `from step ${from}`
        }\n`
      )
      continue
    }
    if (code !== 0 && code !== 3) throw new Error(`the resumed run ended with ${code}:\n${run.output()}`)
    break
  }
  const unbroken = await logOf(await folderOf("unbroken") ?? "")
  const broken = await logOf(await folderOf("broken") ?? "")
  return {
    kills: made,
    resumedAt,
    steps: lines(broken.metrics).length - 1,
    sameMetrics: broken.metrics === unbroken.metrics,
    sameTexts: broken.texts.join() === unbroken.texts.join(),
    unbrokenSeconds: elapsed / 1000,
    brokenSeconds: (performance.now() - brokenBegun) / 1000
  }
}
