/**
 * How fast the retrievers answer and what they find, over a corpus and questions:
 * `npm run -s bench -- retrievers [--corpus FILE] [--questions FILE] [--engines bm25,lunr,http] [--passages N]`.
 * Engines by LanceDB and of vectors: `lance` (words), `dense`, `both` (one by one, in memory), `lanceFlat`, `ivfPq`, `ivfRq`,
 * `hnsw`, `lanceHybrid`; vectors come from `--embedder` (default `hashing`) and are kept in the file `--vectors`, so that a
 * corpus is embedded once. What is measured then is the search without the embedding of queries, which all know already.
 * Without files, generated passages are searched (no gold passages are known then). Rates are given by the clock and by
 * the processor's time of the searching process, which a busy machine does not change much.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Layer, Stream } from "effect"
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import type { Document } from "../src/domain/Document.ts"
import * as QuestionsFile from "../src/layers/questions/QuestionsFile.ts"
import * as CorpusFile from "../src/layers/retriever/CorpusFile.ts"
import * as RetrieverBm25 from "../src/layers/retriever/RetrieverBm25.ts"
import * as RetrieverLunr from "../src/layers/retriever/RetrieverLunr.ts"
import * as RetrieverRemote from "../src/layers/retriever/RetrieverRemote.ts"
import * as RetrievalBenchmark from "../src/programs/RetrievalBenchmark.ts"
import { Retriever } from "../src/services/Retriever.ts"
import { generatedPassages, generatedQuestions } from "./support/generatedCorpus.ts"
import * as VectorEngines from "./support/vectorEngines.ts"

type Batches = Stream.Stream<ReadonlyArray<Document>, Error>

const round = (value: number, digits = 1) => Number(value.toFixed(digits))

/** Searches for all questions at 1, 8 and 64 at a time, after one pass that does not count. */
const measure = Effect.fnUntraced(function*(all: ReadonlyArray<RetrievalBenchmark.Query>, timed = all.length) {
  // a slow engine is timed on some of the questions, and judged on all
  const queries = all.slice(0, timed)
  yield* RetrievalBenchmark.speed(queries, { concurrency: 1, topK: 3 })
  const before = process.cpuUsage()
  const speeds = yield* Effect.forEach(
    [1, 8, 64],
    (concurrency) => RetrievalBenchmark.speed(queries, { concurrency, topK: 3 })
  )
  const { system, user } = process.cpuUsage(before)
  const quality = yield* RetrievalBenchmark.quality(all, { topK: 3 })
  return {
    queriesPerSecond: round(Math.max(...speeds.map((speed) => speed.queriesPerSecond))),
    queriesPerCpuSecond: round(3 * queries.length / ((user + system) / 1e6)),
    p50: round(speeds[0]?.p50 ?? 0, 3),
    p99: round(speeds[0]?.p99 ?? 0, 3),
    p99At64: round(speeds[2]?.p99 ?? 0, 3),
    atOnce: Object.fromEntries(speeds.map((speed) => [speed.concurrency, round(speed.queriesPerSecond)])),
    recallAt3: round(quality.recall, 4),
    allGoldAt3: round(quality.allGold, 4)
  }
})

const megabytes = (bytes: number) => round(bytes / 1e6)
const memory = () => {
  globalThis.gc?.()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

const timed = async <A>(work: () => Promise<A>): Promise<readonly [A, number]> => {
  const started = performance.now()
  const value = await work()
  return [value, (performance.now() - started) / 1000]
}

const run1 = <A>(layer: Layer.Layer<Retriever, unknown>, use: Effect.Effect<A, unknown, Retriever>) =>
  Effect.runPromise(Effect.provide(use, layer).pipe(Effect.scoped))

/** Starts `search-r1 serve` over an index and resolves with its address. */
const startServer = (index: string) => {
  const cli = fileURLToPath(new URL("../src/cli.ts", import.meta.url))
  const child = spawn(process.execPath, [cli, "serve", "--index", index, "--port", "0", "--cache", "off"], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  return new Promise<{ readonly url: string; readonly stop: () => void }>((resolve, reject) => {
    let output = ""
    child.once("exit", () => reject(new Error("the server did not start")))
    child.stdout.on("data", (bytes: Buffer) => {
      output += bytes.toString("utf8")
      const url = /http:\/\/\S+\/retrieve/.exec(output)?.[0]
      if (url !== undefined) resolve({ url, stop: () => child.kill("SIGTERM") })
    })
  })
}

/** Queries a second when a client sends batches of `size`, eight at a time. */
const batched = Effect.fnUntraced(function*(queries: ReadonlyArray<RetrievalBenchmark.Query>, size: number) {
  const retriever = yield* Retriever
  const batches: Array<ReadonlyArray<string>> = []
  for (let start = 0; start < queries.length; start += size) {
    batches.push(queries.slice(start, start + size).map(({ question }) => question))
  }
  const started = performance.now()
  yield* Effect.forEach(batches, (batch) => retriever.searchMany(batch, { topK: 3 }), { concurrency: 8 })
  return round(queries.length / ((performance.now() - started) / 1000))
})

/** Questions whose best ten by an index over vectors are compared with those by all vectors. */
const compared = 200

/** The best ten of each question. */
const bestTen = (queries: ReadonlyArray<RetrievalBenchmark.Query>) =>
  Retriever.use((retriever) => retriever.searchMany(queries.map(({ question }) => question), { topK: 10 }))

/** The share of the passages of one ranking that are in the other. */
const agreement = (expected: Rankings, found: Rankings) => {
  const shares = expected.flatMap((documents, index) => {
    const ids = new Set(found[index]?.map(({ id }) => id))
    return documents.length === 0 ? [] : [documents.filter(({ id }) => ids.has(id)).length / documents.length]
  })
  return shares.reduce((sum, share) => sum + share, 0) / Math.max(1, shares.length)
}

type Rankings = ReadonlyArray<ReadonlyArray<Document>>

const measureOthers = async (
  names: ReadonlyArray<VectorEngines.EngineName>,
  batches: Batches,
  queries: ReadonlyArray<RetrievalBenchmark.Query>,
  directory: string,
  result: Record<string, unknown>,
  { embedder, vectors }: { readonly embedder: string; readonly vectors?: string | undefined }
) => {
  const embedding = await VectorEngines.embedderOf(embedder, vectors)
  for (const name of names) {
    const engine = await VectorEngines.build(name, batches, directory, embedding)
    globalThis.gc?.()
    const before = process.memoryUsage().rss
    // a search of vectors is timed on some of the questions, and one that compares all of them on fewer
    const timed = name === "lance"
      ? queries.length
      : name === "dense" || name === "both" || name === "lanceFlat"
      ? 150
      : 400
    const exact = engine.exact === undefined
      ? undefined
      : await run1(engine.exact, bestTen(queries.slice(0, compared)))
    result[name] = await run1(
      engine.layer,
      Effect.gen(function*() {
        yield* Retriever
        // what a process that has just started does, passages read from disk included
        const cold = yield* RetrievalBenchmark.speed(queries.slice(0, timed), { concurrency: 64, topK: 3 })
        const measured = yield* measure(queries, timed)
        const ten = engine.exact === undefined ? [] : yield* bestTen(queries.slice(0, compared))
        return {
          buildSeconds: round(engine.buildSeconds),
          diskMegabytes: round(engine.diskMegabytes),
          residentMegabytes: megabytes(process.memoryUsage().rss - before),
          coldQueriesPerSecond: round(cold.queriesPerSecond),
          ...measured,
          ...(exact === undefined ? {} : { recallAt10: round(agreement(exact, ten), 4) })
        }
      })
    )
    process.stderr.write(`${name} ${JSON.stringify(result[name])}\n`)
    rmSync(join(directory, name), { recursive: true, force: true })
  }
}

export const run = async (args: ReadonlyArray<string>): Promise<Readonly<Record<string, unknown>>> => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      corpus: { type: "string" },
      questions: { type: "string" },
      engines: { type: "string", default: "bm25,http,lunr" },
      passages: { type: "string", default: "25000" },
      embedder: { type: "string", default: "hashing" },
      vectors: { type: "string" }
    }
  })
  const engines = values.engines.split(",")
  const passages = Number(values.passages)
  const { corpus, questions } = values
  const batches: Batches = corpus === undefined ? generatedPassages(passages) : CorpusFile.batches(corpus)
  const queries = questions === undefined
    ? generatedQuestions(1000)
    : (await Effect.runPromise(QuestionsFile.read(questions))).map(({ goldIds, question }) => ({
      question,
      goldIds: goldIds ?? []
    }))
  const directory = mkdtempSync(join(tmpdir(), "search-r1-bench-"))
  const result: Record<string, unknown> = { questions: queries.length }
  try {
    const index = join(directory, "bm25.idx")
    if (engines.includes("bm25") || engines.includes("http")) {
      const [description, seconds] = await timed(() =>
        Effect.runPromise(RetrieverBm25.build(batches, index).pipe(Effect.provide(NodeServices.layer)))
      )
      result["passages"] = description.documents
      const { documents, ...arrays } = description.sections
      const held = Object.values(arrays).reduce((sum, section) => sum + section.bytes, 0)
      const opened = RetrieverBm25.layerIndex(index)
      result["bm25"] = {
        buildSeconds: round(seconds),
        diskMegabytes: megabytes(statSync(index).size),
        arraysMegabytes: megabytes(held),
        passagesMegabytes: megabytes(documents?.bytes ?? 0),
        ...(await run1(
          opened,
          Effect.gen(function*() {
            yield* Retriever
            return { ...(yield* measure(queries)), batched: yield* batched(queries, 64) }
          })
        ))
      }
      process.stderr.write(`bm25 ${JSON.stringify(result["bm25"])}\n`)
    }
    if (engines.includes("http")) {
      const { stop, url } = await startServer(index)
      result["http"] = await run1(
        RetrieverRemote.layer({ url }).pipe(Layer.provide(NodeHttpClient.layerUndici)),
        Effect.gen(function*() {
          const single = yield* measure(queries)
          const rounds = yield* Effect.forEach(
            [8, 64, 256],
            (size) => Effect.map(batched(queries, size), (rate) => [size, rate] as const)
          )
          return { ...single, batched: Object.fromEntries(rounds) }
        })
      )
      stop()
      process.stderr.write(`http ${JSON.stringify(result["http"])}\n`)
    }
    if (engines.includes("lunr")) {
      const empty = memory()
      const started = performance.now()
      result["lunr"] = await run1(
        RetrieverLunr.layer(Stream.flattenIterable(batches), {
          cacheDirectory: false,
          onProgress: () => Effect.void
        }).pipe(
          Layer.provide(NodeServices.layer)
        ),
        Effect.gen(function*() {
          yield* Retriever
          const buildSeconds = round((performance.now() - started) / 1000)
          return { buildSeconds, memoryMegabytes: megabytes(memory() - empty), ...(yield* measure(queries, 200)) }
        })
      )
      process.stderr.write(`lunr ${JSON.stringify(result["lunr"])}\n`)
    }
    const others = engines.filter(VectorEngines.isEngineName)
    if (others.length > 0) await measureOthers(others, batches, queries, directory, result, values)
    return result
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
