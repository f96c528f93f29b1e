/** No command writes what it reads, and none that cannot write loses what was there. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, FileSystem, Layer } from "effect"
import { Command } from "effect/cli"
import { TestConsole } from "effect/testing"
import { commands } from "../../src/cli/commands.ts"
import { withLines } from "../../src/cli/lineWriter.ts"
import * as Outputs from "../../src/cli/outputs.ts"
import { userError } from "../../src/cli/userError.ts"
import { shippedModel } from "../../src/layers/assets.ts"
import { refusing } from "../support/refusingFiles.ts"
import * as Tiny from "../support/tinyRun.ts"

const root = Command.make("search-r1").pipe(Command.withSubcommands(commands))

/** The text of a command's failure, "" where it has none. */
const failure = (...args: ReadonlyArray<string>) =>
  Command.runWith(root, { version: "0", renderErrors: false })(args).pipe(
    Effect.as(""),
    Effect.catch((error) => Effect.succeed(String(error instanceof Error ? error.message : error))),
    Effect.provide(Layer.fresh(TestConsole.layer))
  )

const record = {
  id: "1",
  data_source: "nq",
  question: "Who?",
  golden_answers: ["Paris"],
  response: "<answer>Paris</answer>"
}
const passage = { id: "1", contents: "\"Paris\"\nThe capital of France." }

interface Files {
  readonly records: string
  readonly corpus: string
  readonly index: string
  readonly script: string
}

const files = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped()
  const write = (name: string, value: object) =>
    Effect.as(fs.writeFileString(`${directory}/${name}`, `${JSON.stringify(value)}\n`), `${directory}/${name}`)
  const made: Files = {
    records: yield* write("records.jsonl", record),
    corpus: yield* write("corpus.jsonl", passage),
    script: yield* write("script.jsonl", { id: "1", samples: [["<answer>Paris</answer>"]] }),
    index: `${directory}/corpus.idx`
  }
  yield* failure("index", "build", made.corpus)
  return { directory, made }
})

/** Commands that read files and write one: what they read, and how they are called. */
const readers: ReadonlyArray<{
  readonly name: string
  readonly reads: ReadonlyArray<keyof Files>
  readonly args: (files: Files, out: string) => ReadonlyArray<string>
}> = [
  { name: "data", reads: ["records"], args: ({ records }, out) => ["data", records, "--out", out] },
  {
    name: "data",
    reads: ["records", "corpus"],
    args: ({ corpus, records }, out) => ["data", records, "--template", "rag", "--corpus", corpus, "--out", out]
  },
  { name: "score", reads: ["records"], args: ({ records }, out) => ["score", records, "--out", out] },
  {
    name: "score",
    reads: ["records"],
    args: ({ corpus, records }, out) => ["score", "--skip-bad", corpus, records, "--out", out]
  },
  {
    name: "rollout",
    reads: ["records", "script", "corpus"],
    args: (
      { corpus, records, script },
      out
    ) => ["rollout", "--questions", records, "--script", script, "--corpus", corpus, "--out", out]
  },
  {
    name: "rollout",
    reads: ["index"],
    args: (
      { index, records, script },
      out
    ) => ["rollout", "--questions", records, "--script", script, "--index", index, "--out", out]
  },
  { name: "index build", reads: ["corpus"], args: ({ corpus }, out) => ["index", "build", corpus, "--out", out] }
]

describe("a command whose output is its input", () => {
  for (const { args, name, reads } of readers) {
    for (const read of reads) {
      it.effect(`${name} leaves its ${read} alone, however the file is spelled`, () =>
        Effect.gen(function*() {
          const fs = yield* FileSystem.FileSystem
          const { directory, made } = yield* files
          const input = made[read]
          const before = yield* fs.readFile(input)
          yield* fs.makeDirectory(`${directory}/sub`)
          yield* fs.symlink(input, `${directory}/sub/link`)
          yield* fs.symlink(directory, `${directory}/sub/parent`)
          yield* fs.link(input, `${directory}/hard`)
          const spellings = [
            input,
            `${directory}/sub/../${input.slice(directory.length + 1)}`,
            `${directory}/sub/link`,
            `${directory}/sub/parent/${input.slice(directory.length + 1)}`,
            `${directory}/hard`
          ]
          for (const out of spellings) {
            assert.include(yield* failure(...args(made, out)), "this command reads", out)
            assert.deepStrictEqual(yield* fs.readFile(input), before, out)
          }
          // and it works where the output is another file
          assert.strictEqual(yield* failure(...args(made, `${directory}/sub/new`)), "")
        }).pipe(Effect.provide(NodeServices.layer)))
    }
  }

  it.effect("is found by another spelling within the working directory", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { directory, made } = yield* files
      const before = process.cwd()
      yield* Effect.acquireRelease(
        Effect.sync(() => process.chdir(directory)),
        () => Effect.sync(() => process.chdir(before))
      )
      assert.include(yield* failure("score", "records.jsonl", "--out", "./records.jsonl"), "this command reads")
      assert.include(yield* failure("score", "./records.jsonl", "--out", "records.jsonl"), "this command reads")
      assert.include(yield* fs.readFileString(made.records), "Paris")
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("directories of models must be neither what is read nor around it", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { directory, made } = yield* files
      const model = `${directory}/model`
      yield* fs.copy(shippedModel, model)
      yield* fs.symlink(model, `${directory}/link`)
      const config = yield* fs.readFileString(`${model}/config.json`)
      for (const out of [model, `${directory}/link`, directory]) {
        assert.include(yield* failure("sft", out, "--force", "--data", made.records, "--model", model), "reads")
        assert.include(yield* failure("pretrain", out, "--force", "--from", model), "reads")
      }
      assert.include(yield* failure("sft", directory, "--force", "--data", made.records), "reads")
      assert.include(
        yield* failure(
          "rollout",
          "-q",
          made.records,
          "--model",
          model,
          "--corpus",
          made.corpus,
          "-o",
          `${model}/config.json`
        ),
        "would overwrite a part of"
      )
      assert.strictEqual(yield* fs.readFileString(`${model}/config.json`), config)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("two outputs are not one file, and - is no name of a file", () =>
    Effect.gen(function*() {
      const { directory } = yield* files
      const twice = yield* Effect.flip(Outputs.claim([
        { flag: "--out", path: `${directory}/a`, kind: "file" },
        { flag: "--report", path: `${directory}/./a`, kind: "file" }
      ], []))
      assert.include(twice.message, `--out ${directory}/a and --report ${directory}/./a are one file`)
      const dash = yield* Effect.flip(Outputs.claim([{ flag: "--out", path: "-", kind: "file" }], []))
      assert.include(dash.message, "--out -: name a file")
    }).pipe(Effect.provide(NodeServices.layer)))
})

describe("lines of a file", () => {
  it.effect("are there when all are, and unfinished ones are kept beside where they are precious", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped()
      const out = yield* Outputs.claimOne({ flag: "--out", path: `${directory}/out`, kind: "file" }, [])
      yield* fs.writeFileString(out, "old\n")
      const broken = (precious?: string) =>
        Effect.flip(withLines(out, (write) => Effect.andThen(write(["1", "2"]), Effect.fail(userError("broken"))), {
          precious
        }))
      assert.include((yield* broken()).message, "broken")
      assert.deepStrictEqual(yield* fs.readDirectory(directory), ["out"])
      yield* broken("rollouts")
      yield* broken("rollouts")
      assert.strictEqual(yield* fs.readFileString(out), "old\n")
      assert.strictEqual(yield* fs.readFileString(`${out}.partial`), "1\n2\n")
      assert.strictEqual(yield* fs.readFileString(`${out}.partial-2`), "1\n2\n")
      yield* withLines(out, (write) => write(["new"]))
      assert.strictEqual(yield* fs.readFileString(out), "new\n")
    }).pipe(Effect.provide([NodeServices.layer, TestConsole.layer])))
})

/** Commands that write, each with a path that what it writes lies at or in. */
const writers: ReadonlyArray<{
  readonly name: string
  /** What is written, within the directory; the path that the message names begins with it. */
  readonly writes: string
  readonly args: (
    directory: string,
    made: Files,
    tiny: Tiny.TinyRun["Service"]
  ) => ReadonlyArray<string>
}> = [
  ...readers.map(({ args, name }) => ({
    name,
    writes: "out",
    args: (directory: string, made: Files) => args(made, `${directory}/out`)
  })),
  {
    name: "index build --engine dense",
    writes: "out",
    args: (
      directory,
      { corpus }
    ) => ["index", "build", corpus, "--engine", "dense", "--embedder", "hashing:8", "-o", `${directory}/out`]
  },
  { name: "world", writes: "new", args: (directory) => ["world", `${directory}/new`, "--size", "20", "--dev", "5"] },
  {
    name: "runs plot",
    writes: "out.svg",
    args: (directory, _, { run }) => ["runs", "plot", run, "--out", `${directory}/out.svg`]
  },
  {
    name: "runs export",
    writes: "new",
    args: (directory, _, { run }) => ["runs", "export", run, `${directory}/new`]
  },
  {
    name: "sft",
    writes: "new",
    args: (directory, { records }) => ["sft", `${directory}/new`, "--data", records, "--epochs", "1"]
  },
  {
    name: "pretrain",
    writes: "new",
    args: (directory) =>
      `pretrain ${directory}/new --steps 1 --batch-size 2 --questions 2 --hidden-size 32 --layers 1 --heads 2`.split(
        " "
      )
  },
  { name: "start", writes: "new", args: (directory) => ["start", "--runs", `${directory}/new`, "--questions", "4"] },
  { name: "ablate", writes: "new", args: (directory) => ["ablate", `${directory}/new`, "--questions", "4"] },
  ...["config.json", "log", "checkpoints"].map((part) => ({
    name: `train (${part})`,
    writes: `new/.*${part}`,
    args: (directory: string, _: Files, { run }: Tiny.TinyRun["Service"]) =>
      `train --config ${run}/config.json --runs ${directory}/new --set steps=1 --set evaluation.every=0`.split(" ")
  }))
]

layer(Tiny.layer, { excludeTestServices: true, timeout: "60 seconds" })(
  "a disk on which nothing can be written",
  (it) => {
    for (const { args, name, writes } of writers) {
      it.effect(
        `${name}: the message names the file and says why, and what was there stays`,
        () =>
          Effect.gen(function*() {
            const fs = yield* FileSystem.FileSystem
            const tiny = yield* Tiny.TinyRun
            const { directory, made } = yield* files
            const matches = new RegExp(`^${directory}/\\.?${writes}`)
            const before = (yield* fs.readDirectory(directory)).filter((file) => !file.startsWith("new"))
            if (writes.startsWith("out")) yield* fs.writeFileString(`${directory}/${writes}`, "")
            for (const [code, words] of [["ENOSPC", "no space is left"], ["EROFS", "read-only"]] as const) {
              // these load a model first
              if (code === "EROFS" && /^(runs export|sft|pretrain|train)/.test(name)) continue
              const said = yield* failure(...args(directory, made, tiny)).pipe(
                Effect.provide(refusing(code, (path) => matches.test(path)))
              )
              assert.include(said, words)
              assert.match(said.split("\n")[0] ?? "", new RegExp(`^${directory}/${writes}[^ ]*: `), said)
            }
            const after = (yield* fs.readDirectory(directory)).filter((file) => !file.startsWith("new"))
            assert.deepStrictEqual(after.filter((file) => file !== writes), before)
            if (writes.startsWith("out")) assert.strictEqual(yield* fs.readFileString(`${directory}/${writes}`), "")
          }),
        60_000
      )
    }
  }
)
