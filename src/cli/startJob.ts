/**
 * The job of `search-r1 start` in its directory.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, Option, Schema } from "effect"
import { shellPath } from "../domain/ShellWord.ts"
import * as AtomicFile from "../layers/atomicFile.ts"
import { deviceNames } from "./deviceFlag.ts"
import * as Outputs from "./outputs.ts"
import * as RunFolder from "./runFolder.ts"
import { userError } from "./userError.ts"

/**
 * What a start is made with. It stays in its directory, so that it can be taken up again.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Job = Schema.Struct({
  seed: Schema.Natural,
  steps: Schema.Natural,
  questions: Schema.Natural,
  device: Schema.Literals(deviceNames)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Job = typeof Job.Type

const JobText = Schema.fromJsonString(Job)

/**
 * The recipe of `docs/learning.md`: GRPO, 32 questions in groups of 8, one passage a search, four updates a step.
 *
 * @category conversions
 * @since 0.1.0
 */
export const settings = ({ world }: Pick<RunFolder.RunFolder, "world">, job: Omit<Job, "questions">) => ({
  algorithm: "grpo",
  seed: job.seed,
  steps: job.steps,
  device: job.device,
  questions: { train: `${world}/train.jsonl`, evaluate: `${world}/held-out.jsonl` },
  retriever: { kind: "lunr", corpus: `${world}/corpus.jsonl` },
  rollout: {
    prompts: 32,
    groupSize: 8,
    topK: 1,
    maxTurns: 4,
    maxPromptTokens: 64,
    maxResponseTokens: 24,
    maxObservationTokens: 60,
    maxContextTokens: 384
  },
  update: { miniBatches: 4, microBatchTokens: 8192, shuffle: true },
  loss: { entropyCoefficient: 0 },
  kl: { coefficient: 0.001 },
  optimizer: {
    learningRate: 2e-4,
    schedule: { kind: "constant", warmupRatio: 0 },
    adamW: { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1 }
  },
  evaluation: {
    every: 5,
    beforeTraining: false,
    questions: 128,
    corpus: `${world}/held-out-corpus.jsonl`
  },
  checkpoints: { every: 1, keepLast: 2, keepBest: false }
})

const jobFile = (folder: RunFolder.RunFolder): string => `${folder.directory}/start.json`

/**
 * What is read of a job that is gone on with.
 *
 * @category getters
 * @since 0.2.0
 */
export const reads = (directory: string) =>
  Effect.map(RunFolder.at(directory), (folder) => [...Outputs.files(jobFile(folder)), ...Outputs.run(folder)])

/**
 * Makes a directory for a new job, or finds that of the job to go on with. It is claimed until the end of the scope, and a
 * new one is removed there where its run has not begun.
 *
 * @category constructors
 * @since 0.1.0
 */
export const open = Effect.fnUntraced(function*(
  input: Job & { readonly runs: string; readonly resume: Option.Option<string> }
) {
  const fs = yield* FileSystem.FileSystem
  if (Option.isSome(input.resume)) {
    const folder = yield* RunFolder.at(input.resume.value)
    if (!(yield* Effect.orElseSucceed(fs.exists(folder.directory), () => true))) {
      return yield* userError(`${folder.directory}: there is no such directory`, "\"search-r1 runs\" lists the runs.")
    }
    const job = yield* fs.readFileString(jobFile(folder)).pipe(
      Effect.flatMap(Schema.decodeEffect(JobText)),
      Effect.mapError(() =>
        userError(
          `${folder.directory} was not made by start.`,
          `A run of "search-r1 train" goes on with "search-r1 train --resume ${shellPath(folder.directory)}".`
        )
      )
    )
    yield* RunFolder.claim(folder)
    return { folder, job }
  }
  const { device, questions, seed, steps } = input
  const job: Job = { seed, steps, questions, device }
  const folder = yield* RunFolder.begin(input.runs, "start")
  yield* Effect.flatMap(
    Effect.orDie(Schema.encodeEffect(JobText)(job)),
    (text) => AtomicFile.writeString(jobFile(folder), `${text}\n`)
  ).pipe(Effect.mapError((error) => userError(error)))
  return { folder, job }
})
