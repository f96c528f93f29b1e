// Files are compressed and linked as users do it.
// @effect-diagnostics nodeBuiltinImport:off
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, FileSystem, Layer, Runtime } from "effect"
import { Command } from "effect/cli"
import { TestConsole } from "effect/testing"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { gzipSync } from "node:zlib"
import { train } from "../../src/cli/train.ts"
import { learnedNothingExitCode, nothingToDoExitCode } from "../../src/cli/trainRun.ts"
import { world as makeWorld } from "../../src/cli/world.ts"
import { shippedModel } from "../../src/layers/assets.ts"
import * as WriterLock from "../../src/layers/writerLock.ts"

const version = { version: "0" }

/** A directory with a small world; its questions name no data source, so that their file's name is theirs. */
class World extends Context.Service<World, {
  readonly root: string
  readonly corpus: string
  readonly questions: string
  /** Arguments of a run of one step in a directory of its own. */
  readonly args: (runs: string, ...more: ReadonlyArray<string>) => ReadonlyArray<string>
  /** Such a run, to be copied. */
  readonly run: string
}>()("test/cli/train/World") {}

const config = (directory: string) => ({
  algorithm: "grpo",
  seed: 5,
  steps: 1,
  questions: { train: `${directory}/asked.jsonl` },
  retriever: { kind: "lunr", corpus: `${directory}/corpus.jsonl` },
  rollout: {
    prompts: 2,
    groupSize: 2,
    topK: 1,
    maxTurns: 2,
    maxPromptTokens: 64,
    maxResponseTokens: 24,
    maxObservationTokens: 60,
    maxContextTokens: 300
  },
  update: { miniBatches: 1 },
  optimizer: { learningRate: 2e-4, schedule: { kind: "constant", warmupRatio: 0 } },
  evaluation: { every: 0 }
})

const made = Layer.effect(
  World,
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const root = yield* fs.makeTempDirectoryScoped()
    const directory = `${root}/world`
    yield* Command.runWith(makeWorld, version)([
      directory,
      "--seed",
      "5",
      "--size",
      "60",
      "--questions",
      "8",
      "--dev",
      "4"
    ])
    const lines = (yield* fs.readFileString(`${directory}/train.jsonl`)).trim().split("\n")
    const questions = `${directory}/asked.jsonl`
    yield* fs.writeFileString(
      questions,
      lines.map((line) => JSON.stringify({ ...JSON.parse(line), data_source: undefined })).join("\n")
    )
    yield* fs.writeFileString(`${root}/config.json`, JSON.stringify(config(directory)))
    const args = (runs: string, ...more: ReadonlyArray<string>) =>
      ["--config", `${root}/config.json`, "--runs", `${root}/${runs}`, "--name", "r"].concat(more)
    yield* Command.runWith(train, version)(args("base"))
    const [name] = yield* fs.readDirectory(`${root}/base`)
    return World.of({
      root,
      corpus: `${directory}/corpus.jsonl`,
      questions,
      args,
      run: `${root}/base/${name}`
    })
  })
).pipe(Layer.provide(TestConsole.layer), Layer.provideMerge(NodeServices.layer))

const set = (...assignments: ReadonlyArray<string>) => assignments.flatMap((assignment) => ["--set", assignment])

/** What the command prints, on both streams, its error's text and its exit code. */
const run = Effect.fnUntraced(function*(args: ReadonlyArray<string>) {
  const failure = yield* Effect.matchEffect(Command.runWith(train, version)(args), {
    onSuccess: () => Effect.undefined,
    onFailure: (error: Error) => Effect.succeed(error)
  })
  const code = failure !== undefined && Runtime.errorExitCode in failure ? failure[Runtime.errorExitCode] : undefined
  const text = (lines: ReadonlyArray<unknown>) => lines.map(String).join("\n")
  return {
    error: failure?.message,
    code: failure === undefined ? 0 : code ?? 1,
    output: text(yield* TestConsole.logLines),
    told: text(yield* TestConsole.errorLines)
  }
}, Effect.provide(Layer.fresh(TestConsole.layer)))

const onlyRun = Effect.fnUntraced(function*(runs: string) {
  const fs = yield* FileSystem.FileSystem
  const { root } = yield* World
  const [name, ...others] = yield* fs.readDirectory(`${root}/${runs}`)
  assert.deepStrictEqual(others, [])
  return `${root}/${runs}/${name}`
})

/** A run of one step in a directory of its own. */
const copied = Effect.fnUntraced(function*(name: string) {
  const fs = yield* FileSystem.FileSystem
  const { root, run } = yield* World
  yield* fs.copy(run, `${root}/${name}`)
  return `${root}/${name}`
})

const read = (path: string) => Effect.flatMap(FileSystem.FileSystem, (fs) => fs.readFileString(path))

/** Everything in a directory with its content. */
const contents = Effect.fnUntraced(function*(directory: string) {
  const fs = yield* FileSystem.FileSystem
  const files: Record<string, string> = {}
  for (const name of (yield* fs.readDirectory(directory, { recursive: true })).toSorted()) {
    if ((yield* fs.stat(`${directory}/${name}`)).type !== "File") continue
    files[name] = Buffer.from(yield* fs.readFile(`${directory}/${name}`)).toString("base64")
  }
  return files
})

/** A search server whose passages hold a word. */
const server = (word: string) =>
  Effect.acquireRelease(
    Effect.promise(() =>
      new Promise<ReturnType<typeof createServer>>((resolve) => {
        const server = createServer((request, response) => {
          const parts: Array<Buffer> = []
          request.on("data", (part: Buffer) => parts.push(part))
          request.on("end", () => {
            const { queries }: { readonly queries: ReadonlyArray<string> } = JSON.parse(Buffer.concat(parts).toString())
            const document = { id: "1", contents: `"Title"\n${word}` }
            response.setHeader("content-type", "application/json")
            response.end(JSON.stringify({ result: queries.map(() => [{ document, score: 1 }]) }))
          })
        })
        server.listen(0, "127.0.0.1", () => resolve(server))
      })
    ),
    (server) =>
      Effect.promise(() =>
        new Promise((resolve) => {
          server.closeAllConnections()
          server.close(resolve)
        })
      )
  ).pipe(Effect.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}/retrieve`))

layer(made, { excludeTestServices: true, timeout: "60 seconds" })("search-r1 train", (it) => {
  it.effect(
    "leaves no directory behind where it cannot start, and says everything that keeps it from starting",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const { args, questions, root } = yield* World
        yield* fs.writeFileString(`${root}/broken.jsonl`, `${yield* read(questions)}\n{"question":`)
        yield* fs.writeFileString(`${root}/empty.jsonl`, "")
        yield* fs.copy(shippedModel, `${root}/other-tokenizer`)
        yield* fs.writeFileString(
          `${root}/other-tokenizer/config.json`,
          (yield* read(`${shippedModel}/config.json`)).replace(/"vocab_size": \d+/, "\"vocab_size\": 7")
        )
        const refused: ReadonlyArray<readonly [ReadonlyArray<string>, string]> = [
          [set("questions.train=null"), "A run needs questions: set questions.train."],
          [set(`questions.train=${root}/none.jsonl`), "none.jsonl: there is no such file"],
          [set(`questions.train=${root}/broken.jsonl`), `${root}/broken.jsonl:9:`],
          [set(`retriever.corpus=${root}/none`), `${root}/none: there is no such file`],
          [set(`retriever.corpus=${root}/empty.jsonl`), "empty.jsonl: there are no passages in it"],
          [set(`retriever.corpus=${root}/broken.jsonl`), "broken.jsonl is a file of questions, and a corpus is wanted"],
          [set("retriever.corpus=null"), "A run needs something to search"],
          [set("retriever.kind=index"), "corpus.jsonl is a corpus, and an index is wanted"],
          [set(`model=${root}/none`), `${root}/none: there is no such file`],
          [set(`model=${root}/other-tokenizer`), "other-tokenizer"],
          [set("evaluation.every=1", `questions.evaluate=${root}/none.jsonl`), "none.jsonl: there is no such file"],
          [
            set("evaluation.every=1", `questions.evaluate=${questions}`, `evaluation.corpus=${root}/none`),
            `${root}/none: there is no such file`
          ],
          [
            set("retriever.kind=remote", "retriever.url=http://127.0.0.1:1/retrieve", "retriever.retries=0"),
            "Start the server, or name another address with --set retriever.url=URL."
          ],
          [
            set("rollout.prompts=4000", "rollout.concurrency=8000"),
            "GiB, and the device has 4.00 GiB.\nTry --set rollout.concurrency=2000"
          ]
        ]
        for (const [more, message] of refused) {
          const { code, error } = yield* run(args("refused", ...more))
          assert.include(error, message, more.join(" "))
          assert.strictEqual(code, 1)
          assert.isFalse(yield* fs.exists(`${root}/refused`), more.join(" "))
        }
        const all = yield* run(
          args("refused", ...set(`questions.train=${root}/a`, `model=${root}/b`, `retriever.corpus=${root}/c`))
        )
        for (const part of ["3 things", "questions.train: ", "/a: there is no", "model: ", "retriever.corpus: "]) {
          assert.include(all.error, part)
        }
      }),
    60_000
  )

  it.effect(
    "refused, a resumed run is left as it was, byte for byte",
    () =>
      Effect.gen(function*() {
        const { root } = yield* World
        const folder = yield* copied("kept")
        const before = yield* contents(folder)
        const resume = (...more: ReadonlyArray<string>) => run(["--resume", folder, ...more])
        const refused: ReadonlyArray<readonly [ReadonlyArray<string>, string, number]> = [
          [[], "has made 1 of its 1 step", nothingToDoExitCode],
          [set("steps=2", "rollout.topK=3"), "rollout.topK was 1 and is now 3", 1],
          [set("steps=2", "optimizer.learningRate=fast"), "optimizer.learningRate", 1],
          [set("steps=2", "optimizer.learnigRate=1"), "did you mean optimizer.learningRate", 1],
          [set("steps=2", `questions.train=${root}/none.jsonl`), "none.jsonl: there is no such file", 1],
          [set("steps=2", `retriever.corpus=${root}/world/dev.jsonl`), "dev.jsonl", 1],
          [set("steps=2", `model=${root}/none`), `${root}/none: there is no such file`, 1],
          [set("steps=2", "device=cpu", "rollout.maxContextTokens=301"), "rollout.maxContextTokens was 300", 1],
          [["--preset", "reference", ...set("seed=6", "steps=2")], "seed was 5 and is now 6", 1]
        ]
        for (const [more, message, code] of refused) {
          const outcome = yield* resume(...more)
          assert.include(outcome.error, message, more.join(" "))
          assert.strictEqual(outcome.code, code, more.join(" "))
          assert.deepStrictEqual(yield* contents(folder), before, more.join(" "))
        }
        const accepted = yield* resume(...set("steps=2", "rollout.concurrency=3"))
        assert.isUndefined(accepted.error)
        assert.include(accepted.output, "steps was 1 and is now 2")
        assert.include(accepted.output, "rollout.concurrency was 256 and is now 3")
        assert.deepInclude(JSON.parse(yield* read(`${folder}/config.json`)), { steps: 2 })
        assert.strictEqual((yield* read(`${folder}/log/metrics.jsonl`)).trim().split("\n").length, 2)
      }),
    60_000
  )

  it.effect(
    "goes on with the same content wherever it lies, to the same numbers, and with no other",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const { args, corpus, questions, root } = yield* World
        yield* run(args("unbroken", ...set("steps=2")))
        const folder = yield* copied("moved")

        // the same path, and other contents
        const [first, second, ...others] = (yield* read(questions)).split("\n")
        const text = yield* read(questions)
        yield* fs.writeFileString(questions, [second, first, ...others].join("\n"))
        const before = yield* contents(folder)
        const changed = yield* run(["--resume", folder, ...set("steps=2")])
        assert.include(
          changed.error,
          `${questions} (questions.train) is not the training questions that the run began with: its SHA-256 was `
        )
        assert.deepStrictEqual(yield* contents(folder), before)
        yield* fs.writeFileString(questions, text)

        const passages = yield* read(corpus)
        yield* fs.writeFileString(corpus, `${passages}{"id":"new","title":"New","text":"passage"}\n`)
        assert.include(
          (yield* run(["--resume", folder, ...set("steps=2")])).error,
          `${corpus} (retriever.corpus) is not the corpus or index that the run began with`
        )
        yield* fs.writeFileString(corpus, passages)

        const model = `${root}/renamed-model`
        yield* fs.copy(shippedModel, model)
        const weights = `${model}/model.safetensors`
        const bytes = Uint8Array.from(yield* fs.readFile(weights))
        bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1
        yield* fs.writeFile(weights, bytes)
        assert.include(
          (yield* run(["--resume", folder, ...set("steps=2", `model=${model}`)])).error,
          `${model} (model) is not the model that the run began with`
        )

        // other names, other places, compressed: what is in them is the same
        bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1
        yield* fs.writeFile(weights, bytes)
        yield* fs.writeFileString(`${model}/README.md`, "copied")
        yield* fs.makeDirectory(`${root}/elsewhere`)
        yield* fs.writeFile(`${root}/elsewhere/other-name.jsonl.gz`, gzipSync(text))
        yield* fs.copyFile(corpus, `${root}/elsewhere/passages`)
        yield* fs.rename(folder, `${root}/elsewhere/run`)
        const moved = yield* run([
          "--resume",
          `${root}/elsewhere/run`,
          ...set(
            "steps=2",
            `model=${model}`,
            `questions.train=${root}/elsewhere/other-name.jsonl.gz`,
            `retriever.corpus=${root}/elsewhere/passages`
          )
        ])
        assert.isUndefined(moved.error)
        assert.include(moved.output, "resumed behind step 1 of 2")
        const metrics = (run: string) => read(`${run}/log/metrics.jsonl`)
        assert.strictEqual(yield* metrics(`${root}/elsewhere/run`), yield* metrics(yield* onlyRun("unbroken")))
      }),
    60_000
  )

  it.effect(
    "knows a server by its answers, not by its address",
    () =>
      Effect.gen(function*() {
        const { args } = yield* World
        const remote = (url: string) => set("retriever.kind=remote", "retriever.retries=0", `retriever.url=${url}`)
        yield* Effect.scoped(Effect.flatMap(server("a doctor"), (url) => run(args("remote", ...remote(url)))))
        const folder = yield* onlyRun("remote")
        const same = yield* Effect.scoped(Effect.flatMap(
          server("a doctor"),
          (url) => run(["--resume", folder, ...set("steps=2", `retriever.url=${url}`)])
        ))
        assert.deepStrictEqual([same.error, same.told], [undefined, ""])
        const other = yield* Effect.scoped(Effect.flatMap(
          server("a baker"),
          (url) => run(["--resume", folder, ...set("steps=3", `retriever.url=${url}`)])
        ))
        assert.isUndefined(other.error)
        assert.match(other.told, /http:\S+ does not answer as http:\S+ when the run began/)
      }),
    60_000
  )

  it.effect(
    "tells when only its evaluations are of something else",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const { args, root } = yield* World
        const held = `${root}/held.jsonl`
        yield* fs.copyFile(`${root}/world/dev.jsonl`, held)
        const evaluated = set("evaluation.every=1", "evaluation.beforeTraining=false", "evaluation.questions=1")
        yield* run(args("evaluated", ...evaluated, ...set(`questions.evaluate=${held}`)))
        const folder = yield* onlyRun("evaluated")
        yield* fs.copyFile(`${root}/world/train.jsonl`, held)
        const { error, output, told } = yield* run(["--resume", folder, ...set("steps=2")])
        assert.isUndefined(error)
        assert.include(told, `${held} (questions.evaluate) is not the evaluation questions that the run began with`)
        assert.include(told, "cannot be compared with those before")
        assert.include(output, "evaluation  EM")
      }),
    60_000
  )

  it.effect(
    "goes on with one writer only",
    () =>
      Effect.gen(function*() {
        const folder = yield* copied("locked")
        const before = yield* contents(folder)
        const second = yield* Effect.scoped(Effect.andThen(
          WriterLock.acquireDirectory(folder),
          run(["--resume", folder, ...set("steps=2")])
        ))
        assert.include(second.error, `${folder} is in use by process ${process.pid} on `)
        assert.deepStrictEqual(yield* contents(folder), before)
        assert.isUndefined((yield* run(["--resume", folder, ...set("steps=2")])).error)
        assert.notProperty(yield* contents(folder), WriterLock.fileName)
        const { root } = yield* World
        assert.include((yield* run(["--resume", `${root}/world`])).error, "is no run")
        assert.notProperty(yield* contents(`${root}/world`), WriterLock.fileName)
      }),
    60_000
  )

  it.effect(
    "ends with a code of its own where no step made an update, and says why and what to set",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const { args, questions, root } = yield* World
        const long = (yield* read(questions)).split("\n").map((line) => {
          const record = JSON.parse(line)
          return JSON.stringify({ ...record, question: `${"very ".repeat(60)}${record.question}` })
        })
        yield* fs.writeFileString(`${root}/long.jsonl`, long.join("\n"))
        const tooLong = yield* run(args("long", ...set(`questions.train=${root}/long.jsonl`, "steps=2")))
        assert.strictEqual(tooLong.code, learnedNothingExitCode)
        assert.include(tooLong.error, "Nothing was learned: no update was made in 2 steps.")
        assert.include(tooLong.error, "8 rollouts failed (8 PromptTooLong)")
        assert.match(tooLong.error ?? "", /Try --set rollout\.maxPromptTokens=\d+/)
        assert.match(tooLong.output, /step 1\/2[^\n]*\n +all 4 rollouts failed, each with PromptTooLong/)
        assert.strictEqual(tooLong.output.split("all 4 rollouts failed").length, 2, "said once")
        const again = yield* run(["--resume", yield* onlyRun("long"), ...set("steps=3")])
        assert.strictEqual(again.code, learnedNothingExitCode)
        assert.include(again.error, "no update was made in 3 steps")

        const unhit = (yield* read(questions)).split("\n").map((line) =>
          JSON.stringify({ ...JSON.parse(line), golden_answers: ["nobody says this"] })
        )
        yield* fs.writeFileString(`${root}/unhit.jsonl`, unhit.join("\n"))
        const equal = yield* run(
          args("unhit", ...set(`questions.train=${root}/unhit.jsonl`, "rollout.dynamicSampling=true"))
        )
        assert.strictEqual(equal.code, learnedNothingExitCode)
        assert.include(equal.error, "4 were in groups of equal rewards")
        assert.include(equal.error, "--set reward.kind=f1")
      }),
    60_000
  )

  it.effect(
    "tells with --dry-run whether it could start, and makes nothing",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const { args, corpus, questions, root } = yield* World
        const good = yield* run(args("dry", "--dry-run"))
        assert.deepStrictEqual([good.error, good.code], [undefined, 0])
        for (
          const part of [
            "\"maxContextTokens\": 300",
            "8 questions",
            "60 passages",
            "key-value cache of 4 rollouts",
            "checkpoint",
            "This run could start."
          ]
        ) assert.include(good.output, part)
        const json = JSON.parse((yield* run(args("dry", "--dry-run", "--json"))).output)
        assert.deepStrictEqual([json.ok, json.problems], [true, []])
        assert.deepStrictEqual(
          json.found.map(({ key, place }: { readonly key: string; readonly place: string }) => [key, place]),
          [
            ["questions.train", questions],
            ["model", shippedModel],
            ["retriever.corpus", corpus]
          ]
        )
        assert.deepStrictEqual(
          json.memory.phases.map(({ name }: { readonly name: string }) => name),
          ["index", "sampling", "training", "checkpoint"]
        )
        assert.isAbove(json.memory.parts.index, 1e6)
        assert.isTrue(json.memory.fits)
        assert.strictEqual(json.config.rollout.topK, 1)

        // a passage that is none, behind those that a start would look at first
        yield* fs.writeFileString(`${root}/late.jsonl`, `${(yield* read(corpus)).repeat(50)}{"id":7}\n`)
        const bad = yield* run(
          args(
            "dry",
            "--dry-run",
            "--json",
            ...set(
              `retriever.corpus=${root}/late.jsonl`,
              "rollout.prompts=4000",
              "rollout.concurrency=8000"
            )
          )
        )
        const report = JSON.parse(bad.output)
        assert.strictEqual(bad.code, 1)
        assert.deepStrictEqual(
          [report.ok, report.problems.map(({ key }: { readonly key: string }) => key), report.memory.fits],
          [false, ["retriever.corpus", "memory"], false]
        )
        assert.include(bad.error, "late.jsonl:3001")
        assert.include(bad.error, "Try --set rollout.concurrency=")
        assert.isFalse(yield* fs.exists(`${root}/dry`))

        const folder = yield* copied("dryResumed")
        const before = yield* contents(folder)
        assert.strictEqual((yield* run(["--resume", folder, "--dry-run", ...set("steps=2")])).code, 0)
        assert.include((yield* run(["--resume", folder, "--dry-run"])).error, "has made 1 of its 1 step")
        assert.include(
          (yield* run(["--resume", folder, "--dry-run", ...set("steps=2", "seed=9")])).error,
          "seed was 5 and is now 9"
        )
        assert.include(
          (yield* run(["--resume", folder, "--dry-run", ...set("steps=2", `questions.train=${root}/world/dev.jsonl`)]))
            .error,
          "is not the training questions that the run began with"
        )
        assert.deepStrictEqual(yield* contents(folder), before)
        assert.include((yield* run(args("dry", "--json"))).error, "--json prints what --dry-run finds")
      }),
    60_000
  )
})
