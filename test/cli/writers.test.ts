/** Every command that writes to a directory for long has it alone, and gives nothing up before it can begin. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { Command } from "effect/cli"
import { TestConsole } from "effect/testing"
import { ablate } from "../../src/cli/ablate.ts"
import { pretrain } from "../../src/cli/pretrain.ts"
import * as RunFolder from "../../src/cli/runFolder.ts"
import { sft } from "../../src/cli/sft.ts"
import { start } from "../../src/cli/start.ts"
import { resolve } from "../../src/domain/RunConfigInput.ts"
import { demoFile } from "../../src/layers/assets.ts"
import * as WriterLock from "../../src/layers/writerLock.ts"

const version = { version: "0" }

const failure = <E extends Error>(command: Effect.Effect<void, E, NodeServices.NodeServices>) =>
  Effect.map(Effect.flip(command), (error) => error.message)

const inDirectory = <A, E>(
  use: (root: string, fs: FileSystem.FileSystem) => Effect.Effect<A, E, NodeServices.NodeServices>
) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    return yield* use(yield* fs.makeTempDirectoryScoped(), fs)
  }).pipe(Effect.scoped, Effect.provide([NodeServices.layer, TestConsole.layer]))

const conversation = JSON.stringify({
  messages: [{ role: "user", content: "Where?" }, { role: "assistant", content: "<answer> there </answer>" }]
})

describe("one writer", () => {
  it.live("sft, pretrain and ablate wait for nobody and say who is at it", () =>
    inDirectory((root, fs) =>
      Effect.gen(function*() {
        const directory = `${root}/model`
        yield* fs.writeFileString(`${root}/data.jsonl`, conversation)
        const commands = {
          sft: Command.runWith(sft, version)([directory, "--data", `${root}/data.jsonl`]),
          pretrain: Command.runWith(pretrain, version)([directory, "--steps=1"]),
          ablate: Command.runWith(ablate, version)([directory, "--topic", "mask"])
        }
        for (const [name, command] of Object.entries(commands)) {
          const message = yield* Effect.scoped(
            Effect.andThen(WriterLock.acquireDirectory(directory), failure<Error>(command))
          )
          assert.include(message, `${directory} is in use by process ${process.pid} on `, name)
          assert.isFalse(yield* fs.exists(directory), name)
        }
      })
    ))

  it.live("a start that is gone on with has its directory alone", () =>
    inDirectory((root, fs) =>
      Effect.gen(function*() {
        const job = { seed: 0, steps: 1, questions: 2, device: "wasm" }
        yield* fs.writeFileString(`${root}/start.json`, JSON.stringify(job))
        const message = yield* Effect.scoped(
          Effect.andThen(
            WriterLock.acquireDirectory(root),
            failure(Command.runWith(start, version)(["--resume", root]))
          )
        )
        assert.include(message, `${root} is in use by process ${process.pid} on `)
      })
    ))
})

describe("nothing is given up, and nothing left, by what cannot begin", () => {
  it.live("sft --force keeps the checkpoints of the run before until its data has been read", () =>
    inDirectory((root, fs) =>
      Effect.gen(function*() {
        const directory = `${root}/model`
        const kept = `${directory}/checkpoints/step-00000001/manifest.json`
        yield* fs.makeDirectory(`${directory}/checkpoints/step-00000001`, { recursive: true })
        yield* fs.writeFileString(kept, "hours of work")
        yield* fs.writeFileString(`${root}/data.jsonl`, "{\"messages\":")
        const command = Command.runWith(sft, version)
        assert.include(
          yield* failure(command([directory, "--data", `${root}/data.jsonl`, "--force"])),
          "data.jsonl:1"
        )
        assert.include(
          yield* failure(command([directory, "--data", demoFile("corpus"), "--model", `${root}/none`, "--force"])),
          "none"
        )
        assert.strictEqual(yield* fs.readFileString(kept), "hours of work")
        assert.deepStrictEqual(yield* fs.readDirectory(directory), ["checkpoints"])
      })
    ))

  it.live("a run's directory is removed where it did not begin, and stays where it did", () =>
    inDirectory((root, fs) =>
      Effect.gen(function*() {
        const runs = `${root}/runs`
        const error = yield* Effect.flip(Effect.scoped(Effect.gen(function*() {
          const folder = yield* RunFolder.begin(runs, "x")
          yield* fs.makeDirectory(folder.log)
          return yield* Effect.fail("no engine")
        })))
        assert.strictEqual(error, "no engine")
        assert.deepStrictEqual(yield* fs.readDirectory(runs), [])
        const config = yield* Effect.orDie(Effect.fromResult(resolve({})))
        const folder = yield* Effect.scoped(Effect.gen(function*() {
          const folder = yield* RunFolder.begin(runs, "x")
          yield* RunFolder.writeConfig(folder, config)
          return folder
        }))
        assert.deepStrictEqual(yield* fs.readDirectory(folder.directory), ["config.json"])
      })
    ))

  it.live("runs that begin in the same second have directories of their own", () =>
    inDirectory((root, fs) =>
      Effect.gen(function*() {
        const folders = yield* Effect.forEach(
          Array.from({ length: 8 }),
          () => RunFolder.create(`${root}/runs`, "x"),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(new Set(folders.map(({ directory }) => directory)).size, 8)
        assert.strictEqual((yield* fs.readDirectory(`${root}/runs`)).length, 8)
      })
    ))

  it.live("a run that was moved finds its own world, and nobody else's", () =>
    inDirectory((root, fs) =>
      Effect.gen(function*() {
        const config = yield* Effect.orDie(Effect.fromResult(resolve({
          questions: { train: "/was/here/world/train.jsonl", evaluate: "/was/here/other/train.jsonl" },
          retriever: { corpus: "/was/here/world/corpus.jsonl" },
          evaluation: { corpus: demoFile("corpus") }
        })))
        yield* fs.makeDirectory(`${root}/world`)
        yield* fs.writeFileString(`${root}/world/train.jsonl`, "")
        const relocated = yield* RunFolder.relocate(yield* RunFolder.at(root), config)
        assert.strictEqual(relocated.questions.train, `${root}/world/train.jsonl`)
        assert.strictEqual(relocated.questions.evaluate, "/was/here/other/train.jsonl")
        assert.strictEqual(relocated.retriever.corpus, "/was/here/world/corpus.jsonl")
        assert.strictEqual(relocated.evaluation.corpus, demoFile("corpus"))
      })
    ))
})
