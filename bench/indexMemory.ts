/**
 * What indexes in memory take, beside what the plan of a run says of them: `npm run -s bench -- indexMemory [--corpus FILE]
 * [--passages N]`. Each engine is measured in a process of its own, by the heap and the buffers that are left after a
 * collection, and by the most that was resident.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Layer, Stream } from "effect"
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import * as IndexMemory from "../src/domain/IndexMemory.ts"
import * as CorpusFile from "../src/layers/retriever/CorpusFile.ts"
import * as RetrieverBm25 from "../src/layers/retriever/RetrieverBm25.ts"
import * as RetrieverLunr from "../src/layers/retriever/RetrieverLunr.ts"
import { Retriever } from "../src/services/Retriever.ts"
import { generatedPassages } from "./support/generatedCorpus.ts"

const engines = ["lunr", "bm25"] as const
type Engine = typeof engines[number]

const held = () => {
  for (let times = 0; times < 4; times++) globalThis.gc?.()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** In a process of its own. */
const measure = async (engine: Engine, corpus: string, cacheDirectory: string) => {
  const options = { cacheDirectory }
  const layer = engine === "lunr"
    ? RetrieverLunr.layerFile(corpus, { ...options, onProgress: () => Effect.void })
    : RetrieverBm25.layerFile(corpus, options)
  const before = held()
  const rss = process.memoryUsage().rss
  return await Effect.runPromise(
    Effect.gen(function*() {
      const retriever = yield* Retriever
      const resident = held() - before
      yield* retriever.search("a query", { topK: 3 })
      return { resident, most: process.resourceUsage().maxRSS * 1024 - rss }
    }).pipe(Effect.provide(layer.pipe(Layer.provide(NodeServices.layer))))
  )
}

export const run = async (args: ReadonlyArray<string>): Promise<Readonly<Record<string, unknown>>> => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      corpus: { type: "string" },
      passages: { type: "string", default: "25000" },
      engine: { type: "string" },
      cache: { type: "string" }
    }
  })
  if (values.engine === "lunr" || values.engine === "bm25") {
    return await measure(values.engine, values.corpus ?? "", values.cache ?? "")
  }
  const directory = mkdtempSync(join(tmpdir(), "search-r1-bench-"))
  try {
    const corpus = values.corpus ?? join(directory, "corpus.jsonl")
    if (values.corpus === undefined) {
      const lines: Array<string> = []
      await Effect.runPromise(
        Stream.runForEach(generatedPassages(Number(values.passages)), (batch) =>
          Effect.sync(() => {
            for (const document of batch) lines.push(`${JSON.stringify(document)}\n`)
          }))
      )
      writeFileSync(corpus, lines.join(""))
    }
    const gatherer = new IndexMemory.Gatherer()
    await Effect.runPromise(
      Stream.runForEach(CorpusFile.batches(corpus), (batch) =>
        Effect.sync(() => {
          for (const document of batch) gatherer.add(document)
        })).pipe(Effect.provide(NodeServices.layer))
    )
    const statistics = gatherer.corpus()
    const result: Record<string, unknown> = { ...statistics }
    for (const engine of engines) {
      const cache = join(directory, engine)
      const measured = () => {
        const script = join(import.meta.dirname, "main.ts")
        const out = execFileSync(process.execPath, [
          "--expose-gc",
          script,
          "indexMemory",
          "--engine",
          engine,
          "--corpus",
          corpus,
          "--cache",
          cache,
          "--json"
        ], { stdio: ["ignore", "pipe", "inherit"] })
        const value: { readonly resident: number; readonly most: number } = JSON.parse(out.toString("utf8"))
        return value
      }
      const built = measured()
      const opened = measured()
      result[engine] = { built, opened }
    }
    return result
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
