/** A run of two steps of the shipped model in a small world, made by the commands that users make runs with. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Context, Effect, FileSystem, Layer } from "effect"
import { Command } from "effect/cli"
import { TestConsole } from "effect/testing"
import { train } from "../../src/cli/train.ts"
import { world } from "../../src/cli/world.ts"

const version = { version: "0" }

const config = (directory: string) => ({
  algorithm: "grpo",
  seed: 5,
  steps: 2,
  questions: { train: `${directory}/train.jsonl`, evaluate: `${directory}/dev.jsonl` },
  retriever: { kind: "lunr", corpus: `${directory}/corpus.jsonl` },
  rollout: {
    prompts: 2,
    groupSize: 2,
    topK: 1,
    maxPromptTokens: 64,
    maxResponseTokens: 24,
    maxObservationTokens: 60,
    maxContextTokens: 384
  },
  update: { miniBatches: 1 },
  optimizer: { learningRate: 2e-4, schedule: { kind: "constant", warmupRatio: 0 } },
  evaluation: { every: 1, beforeTraining: false, questions: 4 },
  checkpoints: { every: 1, keepLast: 2 }
})

export class TinyRun extends Context.Service<TinyRun, {
  /** Where all runs are. */
  readonly runs: string
  /** The one run. */
  readonly run: string
  /** Holds corpus.jsonl, train.jsonl and dev.jsonl. */
  readonly world: string
}>()("test/TinyRun") {}

const made = Layer.effect(
  TinyRun,
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const root = yield* fs.makeTempDirectoryScoped()
    const directory = `${root}/world`
    const runs = `${root}/runs`
    yield* Command.runWith(world, version)([directory, "--seed", "5", "--size", "60", "--questions", "8", "--dev", "4"])
    yield* fs.writeFileString(`${root}/config.json`, JSON.stringify(config(directory)))
    yield* Command.runWith(train, version)(["--config", `${root}/config.json`, "--runs", runs, "--name", "tiny"])
    const [name] = yield* fs.readDirectory(runs)
    return TinyRun.of({ runs, run: `${runs}/${name}`, world: directory })
  })
).pipe(Layer.provide(TestConsole.layer))

export const layer = Layer.provideMerge(made, NodeServices.layer)

/** What a command prints, line by line where it goes to standard error, and its error's text when there is one. */
export const outcome = (
  command: (args: ReadonlyArray<string>) => Effect.Effect<void, Error, NodeServices.NodeServices>
) =>
  Effect.fnUntraced(function*(args: ReadonlyArray<string>) {
    const error = yield* command(args).pipe(
      Effect.as(undefined),
      Effect.catch((error) => Effect.succeed(error.message))
    )
    return {
      error,
      output: (yield* TestConsole.logLines).map(String).join("\n"),
      errors: (yield* TestConsole.errorLines).map(String)
    }
  }, Effect.provide(Layer.fresh(TestConsole.layer)))
