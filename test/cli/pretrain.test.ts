import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { Command } from "effect/cli"
import { TestConsole } from "effect/testing"
import { pretrain } from "../../src/cli/pretrain.ts"
import * as HuggingFaceModel from "../../src/layers/model/HuggingFaceModel.ts"
import * as TokenizerFolder from "../../src/layers/tokenizer/TokenizerFolder.ts"

const run = Command.runWith(pretrain, { version: "0" })

const tiny = ["--steps=2", "--batch-size=2", "--hidden-size=16", "--layers=1", "--heads=2", "--questions=2"]

/** Runs the command on a directory that is not there yet; gives the error's message. */
const inDirectory = <A, E>(
  use: (
    directory: string,
    make: (...args: ReadonlyArray<string>) => Effect.Effect<string | undefined, never, NodeServices.NodeServices>
  ) => Effect.Effect<A, E, NodeServices.NodeServices | FileSystem.FileSystem>
) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const directory = `${yield* fs.makeTempDirectoryScoped()}/model`
    return yield* use(directory, (...args) =>
      run([directory, ...args]).pipe(
        Effect.as(undefined),
        Effect.catch((error) => Effect.succeed(error.message))
      ))
  }).pipe(Effect.provide([NodeServices.layer, TestConsole.layer]))

describe("search-r1 pretrain", () => {
  it.live("saves a model that can be loaded, with its tokenizer and what made it", () =>
    inDirectory((directory, make) =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        assert.isUndefined(yield* make(...tiny, "--seed=7"))
        const { config } = yield* HuggingFaceModel.read(directory)
        assert.strictEqual(config.hiddenSize, 16)
        const tokenizer = yield* TokenizerFolder.make(directory)
        assert.strictEqual(tokenizer.vocabularySize, config.vocabularySize)
        const record = JSON.parse(yield* fs.readFileString(`${directory}/pretrain.json`))
        assert.strictEqual(record.step, 2)
        assert.strictEqual(record.plan.seed, "7")
        assert.deepStrictEqual(Object.keys(record.measurement), ["reading", "greedy", "sampled"])
        const lines = (yield* TestConsole.logLines).map(String).join("\n")
        assert.match(lines, /^step 2 · reading \d+%\/\d+%\/\d+% · greedy EM \d+% .* pass@16 \d+%/m)
        assert.deepStrictEqual((yield* fs.readDirectory(directory)).sort(), [
          "config.json",
          "model.safetensors",
          "pretrain.json",
          "tokenizer.json"
        ])
        // nothing is replaced by accident
        assert.match((yield* make(...tiny)) ?? "", /holds a model or a checkpoint already\nWith --resume/)
      })
    ))

  it.live.each<readonly [ReadonlyArray<string>, RegExp]>([
    [["--hops", "x"], /--hops x: expected the weights/],
    [["--hops", "0,0,0"], /weights of hops must be above 0/],
    [["--hidden-size=16", "--heads=5"], /a width of 16 cannot be shared by 5 heads/]
  ])("explains what is wrong with %j", ([args, message]) =>
    inDirectory((directory, make) =>
      Effect.gen(function*() {
        assert.match((yield* make(...args)) ?? "", message)
        assert.isFalse(yield* (yield* FileSystem.FileSystem).exists(directory))
      })
    ))
})
