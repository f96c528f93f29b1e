// A build that is killed needs a process.
// @effect-diagnostics nodeBuiltinImport:off
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { Command } from "effect/cli"
import { TestConsole } from "effect/testing"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { index } from "../../src/cli/indexes.ts"
import { search } from "../../src/cli/search.ts"
import { formatLine } from "../../src/domain/Corpus.ts"
import { lance } from "../../src/layers/optional/packages.ts"
import * as RetrieverLance from "../../src/layers/retriever/RetrieverLance.ts"
import * as WriterLock from "../../src/layers/writerLock.ts"
import { absence } from "../support/optionalPackage.ts"
import { passages } from "../support/passages.ts"

const cli = fileURLToPath(new URL("../../src/cli.ts", import.meta.url))
const lanceAbsence = await absence(lance)

const run = Command.runWith(index, { version: "0" })
const runSearch = Command.runWith(search, { version: "0" })

const withCorpus = <A, E>(
  use: (
    files: { readonly corpus: string; readonly directory: string; readonly fs: FileSystem.FileSystem }
  ) => Effect.Effect<
    A,
    E,
    NodeServices.NodeServices
  >
) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const directory = yield* fs.makeTempDirectoryScoped()
    const corpus = `${directory}/corpus.jsonl`
    yield* fs.writeFileString(corpus, passages.map(formatLine).join("\n"))
    return yield* use({ corpus, directory, fs })
  }).pipe(Effect.provide([NodeServices.layer, TestConsole.layer]))

const hostile = [
  { id: "empty", title: "", text: "" },
  { id: "long", title: "Long", text: Array.from({ length: 50_000 }, (_, at) => `w${at}q`).join(" ") },
  { id: "often", title: "Often", text: "herring ".repeat(100_000) }
]

/** What another process prints that searches an index. */
const searching = (query: string, path: string) =>
  Effect.callback<string>((resume) => {
    const child = spawn(process.execPath, [
      cli,
      "search",
      query,
      "--index",
      path,
      "--mode",
      "words",
      "--json",
      "-k",
      "1"
    ])
    let printed = ""
    child.stdout.on("data", (bytes: Buffer) => (printed += bytes.toString("utf8")))
    child.on("close", () => resume(Effect.succeed(printed)))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const output = Effect.map(TestConsole.logLines, (lines) => lines.map(String).join("\n"))

describe("search-r1 index", () => {
  it.effect("builds indexes of passages that are empty, endless or one word, and says which cannot be found", () =>
    withCorpus(({ directory, fs }) =>
      Effect.gen(function*() {
        const corpus = `${directory}/hostile.jsonl`
        yield* fs.writeFileString(corpus, hostile.map(formatLine).join("\n"))
        for (const flags of [[], ["--lucene"], ["--engine", "both", "--embedder", "hashing:64"]]) {
          const path = `${directory}/hostile.idx`
          yield* run(["build", corpus, "--out", path, ...flags])
          yield* run(["verify", path])
          assert.include(
            (yield* TestConsole.errorLines).join("\n"),
            "1 passage without a word cannot be found by words."
          )
          for (const [query, id] of [["herring", "often"], ["w49999q", "long"]] as const) {
            yield* runSearch([query, "--index", path, "--mode", "words", "--json"])
            const printed = String((yield* TestConsole.logLines).at(-1))
            assert.deepStrictEqual(
              JSON.parse(printed).results.map((hit: { readonly id: string }) => hit.id),
              [id],
              flags.join(" ")
            )
          }
        }
      })
    ))

  it.effect("makes no index of a corpus without passages, and leaves the one that is there", () =>
    withCorpus(({ corpus, directory, fs }) =>
      Effect.gen(function*() {
        const path = `${directory}/passages.idx`
        yield* run(["build", corpus, "--out", path])
        const before = yield* fs.readFile(path)
        yield* fs.writeFileString(`${directory}/none.jsonl`, "\n\n")
        const error = yield* Effect.flip(run(["build", `${directory}/none.jsonl`, "--out", path]))
        assert.include(String("userMessage" in error ? error.userMessage : error), "there are no passages in it")
        assert.deepStrictEqual(yield* fs.readFile(path), before)
      })
    ))

  it.live("is built by one process at a time, and says by which", () =>
    withCorpus(({ corpus, directory, fs }) =>
      Effect.gen(function*() {
        const path = `${directory}/corpus.idx`
        for (
          const [engine, path] of [["bm25", `${directory}/corpus.idx`], ["lance", `${directory}/corpus.lance`]] as const
        ) {
          if (engine === "lance" && lanceAbsence !== undefined) continue
          const error = yield* Effect.scoped(Effect.gen(function*() {
            yield* WriterLock.acquireBeside(path)
            return yield* Effect.flip(run(["build", corpus, "--engine", engine]))
          }))
          assert.include(error.message, `${path} is in use by process ${process.pid} on `)
          assert.isFalse(yield* fs.exists(path))
        }
        yield* run(["build", corpus])
        assert.deepStrictEqual((yield* fs.readDirectory(directory)).toSorted(), ["corpus.idx", "corpus.jsonl"])
        assert.isTrue(yield* fs.exists(path))
      })
    ))

  it.live("builds an index, describes it, verifies it and measures it", () =>
    withCorpus(({ corpus, directory, fs }) =>
      Effect.gen(function*() {
        yield* run(["build", corpus])
        const file = `${directory}/corpus.idx`
        yield* run(["info", file])
        yield* run(["verify", file])
        const shown = yield* output
        assert.include(shown, "10 passages")
        assert.include(shown, "title weight 3")
        assert.include(shown, "as they were written")

        const questions = `${directory}/questions.jsonl`
        yield* fs.writeFileString(
          questions,
          [
            { id: "1", question: "herring", golden_answers: ["x"], metadata: { gold_ids: ["p6"] } },
            { id: "2", question: "zyxxyqwv", golden_answers: ["x"], metadata: { gold_ids: ["p0", "p1"] } },
            { id: "3", question: "Orla Venn", golden_answers: ["x"] }
          ].map((question) => JSON.stringify(question)).join("\n")
        )
        yield* run(["bench", "--index", file, "--questions", questions, "--json"])
        const measured = JSON.parse((yield* output).split("\n").at(-1) ?? "")
        assert.deepStrictEqual(measured.quality, { topK: 3, questions: 2, recall: 0.5, allGold: 0.5 })
        assert.deepStrictEqual(
          measured.speeds.map(({ concurrency }: { readonly concurrency: number }) => concurrency),
          [1, 8, 64]
        )
        const { size } = yield* fs.stat(file)
        assert.isAtMost(measured.diskBytes, Number(size))
        assert.isAbove(measured.diskBytes, 0.5 * Number(size))
        assert.isAbove(measured.residentBytes, 1e6)
      })
    ))

  it.live("scores as Lucene on demand, and says so", () =>
    withCorpus(({ corpus, directory }) =>
      Effect.gen(function*() {
        const file = `${directory}/lucene.idx`
        yield* run(["build", corpus, "--lucene", "--out", file])
        yield* run(["info", file, "--json"])
        const { parameters } = JSON.parse((yield* output).split("\n").at(-1) ?? "")
        assert.deepStrictEqual(parameters, { analyzer: "lucene", k1: 0.9, b: 0.4, titleWeight: 1, roundLengths: true })
      })
    ))

  it.live("lets search use an index, or a corpus through the same engine", () =>
    withCorpus(({ corpus, directory }) =>
      Effect.gen(function*() {
        yield* run(["build", corpus])
        yield* runSearch(["herring market", "--index", `${directory}/corpus.idx`, "--json", "-k", "2"])
        const line = (yield* output).split("\n").at(-1) ?? ""
        assert.strictEqual(JSON.parse(line).results[0].id, "p6")
      })
    ))

  it.live.each<readonly [string, ReadonlyArray<string>, RegExp]>([
    ["vectors", ["--engine", "dense", "--embedder", "hashing:64"], /vectors of 64 dimensions by hashed words/],
    [
      "words and vectors",
      ["--engine", "both", "--embedder", "hashing:64"],
      /BM25 and vectors.*postings.*vectors of 64/s
    ]
  ])(
    "builds an index of %s that searches by itself",
    ([, args, described]) =>
      withCorpus(({ corpus, directory }) =>
        Effect.gen(function*() {
          const file = `${directory}/corpus.idx`
          yield* run(["build", corpus, ...args])
          yield* run(["info", file])
          assert.match(yield* output, described)
          yield* run(["verify", file])
          for (const mode of [[], ["--mode", "flat"]]) {
            yield* runSearch(["The herring market of Maren", "--index", file, "--json", "-k", "1", ...mode])
            assert.strictEqual(JSON.parse((yield* output).split("\n").at(-1) ?? "").results[0].id, "p6")
          }
        })
      )
  )

  it.live.skipIf(lanceAbsence !== undefined)(
    `builds an index by LanceDB, searches it in each mode and measures it${
      lanceAbsence === undefined ? "" : ` (${lanceAbsence})`
    }`,
    () =>
      withCorpus(({ corpus, directory, fs }) =>
        Effect.gen(function*() {
          const path = `${directory}/corpus.lance`
          yield* run(["build", corpus, "--engine", "lance", "--embedder", "hashing:64", "--vector-index", "hnsw"])
          yield* run(["info", path])
          yield* run(["verify", path])
          const shown = yield* output
          assert.match(shown, /LanceDB.*vectors of 64 dimensions by hashed words, compared one by one.*10 passages/s)
          assert.include(shown, "as they were written")
          for (const mode of ["words", "flat", "ann", "hybrid"]) {
            yield* runSearch(["The herring market of Maren", "--index", path, "--json", "-k", "1", "--mode", mode])
            assert.strictEqual(JSON.parse((yield* output).split("\n").at(-1) ?? "").results[0].id, "p6")
          }
          const questions = `${directory}/questions.jsonl`
          yield* fs.writeFileString(questions, JSON.stringify({ id: "1", question: "herring", golden_answers: ["x"] }))
          yield* run(["bench", "--index", path, "--questions", questions, "--json"])
          assert.strictEqual(JSON.parse((yield* output).split("\n").at(-1) ?? "").questions, 1)
        })
      )
  )

  it.live.each<readonly [string, (path: string, fs: FileSystem.FileSystem) => Effect.Effect<void, unknown>, RegExp]>([
    ["a file", (path, fs) => fs.writeFileString(path, "precious"), /there is another file already/],
    [
      "a directory",
      (path, fs) => Effect.andThen(fs.makeDirectory(path), fs.writeFileString(`${path}/a.txt`, "precious")),
      /there is a directory/
    ]
  ])(
    "replaces nothing but an index: %s is left as it is",
    ([, make, message]) =>
      withCorpus(({ corpus, directory, fs }) =>
        Effect.gen(function*() {
          const path = `${directory}/mine`
          yield* make(path, fs)
          const before = yield* fs.readDirectory(directory, { recursive: true })
          for (const engine of lanceAbsence === undefined ? ["bm25", "lance"] : ["bm25"]) {
            const error = yield* Effect.flip(run(["build", corpus, "--engine", engine, "--out", path]))
            assert.match(error.message, message)
          }
          assert.match((yield* Effect.flip(run(["build", corpus, "--out", corpus]))).message, /would overwrite/)
          assert.deepStrictEqual(yield* fs.readDirectory(directory, { recursive: true }), before)
        })
      )
  )

  it.live.skipIf(lanceAbsence !== undefined)(
    `goes on with an index by LanceDB whose build was killed${lanceAbsence === undefined ? "" : ` (${lanceAbsence})`}`,
    () =>
      withCorpus(({ directory, fs }) =>
        Effect.gen(function*() {
          const corpus = `${directory}/many.jsonl`
          const many = Array.from({ length: 6000 }, (_, row) => ({
            id: `m${row}`,
            title: `"Number ${row}"`,
            text: `own${row} of group ${row % 7}`
          }))
          yield* fs.writeFileString(corpus, many.map(formatLine).join("\n"))
          const path = `${directory}/many.lance`
          const args = ["build", corpus, "--engine", "lance", "--embedder", "hashing:256", "--vector-index", "flat"]
          const written = Effect.orElseSucceed(
            fs.readDirectory(`${directory}/many.lance.building/passages.lance/data`),
            () => []
          )
          const child = spawn(process.execPath, [cli, "index", ...args], { stdio: "ignore" })
          const ended = new Promise((resolve) => child.on("exit", (_, signal) => resolve(signal)))
          yield* written.pipe(
            Effect.delay("2 millis"),
            Effect.repeat({ until: (files) => files.length > 1 || child.exitCode !== null })
          )
          child.kill("SIGKILL")
          assert.strictEqual(yield* Effect.promise(() => ended), "SIGKILL")
          assert.isFalse(yield* fs.exists(path))
          const kept = (yield* written).length
          yield* run(args)
          yield* run(["verify", path])
          const { documents, files } = yield* RetrieverLance.read(path)
          assert.strictEqual(documents, many.length)
          assert.isAbove(kept, 1)
          assert.isAbove(Object.keys(files).length, 0)
          yield* runSearch([
            "own0",
            "own5999",
            "--index",
            `${directory}/many.lance`,
            "--mode",
            "words",
            "--json",
            "-k",
            "1"
          ])
          const [first, last] = (yield* output).split("\n").slice(-2).map((line) => JSON.parse(line).results[0].id)
          assert.deepStrictEqual([first, last], ["m0", "m5999"])
          // while this process has read it, others do
          const others = yield* Effect.all([searching("own7", path), searching("own8", path)], { concurrency: 2 })
          assert.deepStrictEqual(others.map((line) => JSON.parse(line).results[0].id), ["m7", "m8"])
          assert.isFalse(yield* fs.exists(`${directory}/many.lance.building`))
        })
      )
  )

  it.live("finds a damaged index out", () =>
    withCorpus(({ corpus, directory, fs }) =>
      Effect.gen(function*() {
        const file = `${directory}/corpus.idx`
        yield* run(["build", corpus])
        const bytes = yield* fs.readFile(file)
        bytes[20] = (bytes[20] ?? 0) ^ 1
        yield* fs.writeFile(file, bytes)
        const error = yield* Effect.flip(run(["verify", file]))
        assert.match(error.message, /corpus\.idx is no usable index: the checksum of its part "documents"/)
      })
    ))

  it.live.each<readonly [string, (corpus: string) => ReadonlyArray<string>, RegExp]>([
    ["a corpus that is not there", () => ["build", "/no/such.jsonl", "--out", "/tmp/never.idx"], /no such file/],
    [
      "a corpus of questions",
      (corpus) => ["build", `${corpus}.bad`, "--out", `${corpus}.idx`],
      /bad is a file of questions, and a corpus is wanted/
    ],
    ["a file that is no index", (corpus) => ["info", corpus], /is a corpus, and an index is wanted/],
    ["an index that is not there", () => ["verify", "/no/such.idx"], /no such file/],
    ["a directory that is no index", () => ["info", "/"], /not an index/],
    ["vectors without an embedder", (corpus) => ["build", corpus, "--engine", "dense"], /needs --embedder/],
    ["words with an embedder", (corpus) => ["build", corpus, "--embedder", "hashing"], /takes no --embedder/],
    [
      "questions that are not there",
      (corpus) => ["bench", "--corpus", corpus, "--questions", "/no/such"],
      /no such file/
    ]
  ])("explains %s", ([, args, message]) =>
    withCorpus(({ corpus, fs }) =>
      Effect.gen(function*() {
        yield* fs.writeFileString(`${corpus}.bad`, "{\"question\":\"x\"}\n")
        const error = yield* Effect.flip(run([...args(corpus)]))
        assert.match(error.message, message)
      })
    ))
})
