/** Indexes and kept answers, whatever operation on their files goes wrong. */
import { Effect, FileSystem, Layer, Stream } from "effect"
import type { Document } from "../../../src/domain/Document.ts"
import { EmbedderSpec } from "../../../src/domain/EmbedderSpec.ts"
import * as EmbedderHashing from "../../../src/layers/embedder/EmbedderHashing.ts"
import { lance } from "../../../src/layers/optional/packages.ts"
import { writeIndex } from "../../../src/layers/retriever/indexfile/write.ts"
import * as RetrieverBm25 from "../../../src/layers/retriever/RetrieverBm25.ts"
import * as RetrieverDiskCache from "../../../src/layers/retriever/RetrieverDiskCache.ts"
import * as RetrieverIndex from "../../../src/layers/retriever/RetrieverIndex.ts"
import * as RetrieverLance from "../../../src/layers/retriever/RetrieverLance.ts"
import * as RetrieverLunr from "../../../src/layers/retriever/RetrieverLunr.ts"
import * as RetrieverMemory from "../../../src/layers/retriever/RetrieverMemory.ts"
import { Embedder } from "../../../src/services/Embedder.ts"
import { Retriever, RetrieverUnavailable } from "../../../src/services/Retriever.ts"
import { everything, faultsContract } from "../../contract/faults.ts"
import { absence } from "../../support/optionalPackage.ts"
import { passages } from "../../support/passages.ts"

const spec = EmbedderSpec.cases.hashing.make({ dimensions: 8 })

/** An index of some passages; postings are put aside after each. */
const index = (root: string, kind: "words" | "vectors" | "both", documents: ReadonlyArray<Document>) =>
  Effect.gen(function*() {
    const embedder = yield* Embedder
    return yield* writeIndex(Stream.make(...documents.map((document) => [document])), `${root}/x.idx`, {
      words: kind === "vectors" ? null : RetrieverBm25.defaultParameters,
      vectors: kind === "words" ? null : { passages: embedder.passages, spec },
      pieceSize: 1
    })
  }).pipe(Effect.provide(EmbedderHashing.layer({ dimensions: 8 })))

for (const kind of ["words", "vectors", "both"] as const) {
  faultsContract({
    name: `an index of ${kind} that replaces another`,
    before: (root) => index(root, kind, passages.slice(0, 1)),
    write: (root) => index(root, kind, passages.slice(1, 3)),
    read: (root) => Effect.map(RetrieverIndex.verify(`${root}/x.idx`), ({ documents }) => documents),
    sample: kind === "words" ? 6 : 3
  })
}

/** Looks at a copy of a folder: looking may mend it. */
const inCopy = <A, E, R>(root: string, use: (copy: string) => Effect.Effect<A, E, R>) =>
  Effect.scoped(Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const copy = `${yield* fs.makeTempDirectoryScoped()}/copy`
    yield* fs.copy(root, copy)
    return yield* use(copy)
  }))

const first = passages.slice(0, 2)
const query = first[0]?.text ?? ""
const searched = Retriever.use((retriever) => retriever.search(query, { topK: 1 }))

faultsContract({
  name: "the kept index of lunr",
  write: (root) =>
    Effect.provide(searched, RetrieverLunr.layer(Stream.fromIterable(first), { cacheDirectory: `${root}/kept` }), {
      local: true
    }),
  read: (root) =>
    inCopy(root, (copy) => {
      let built = false
      const layer = RetrieverLunr.layer(Stream.fromIterable(first), {
        cacheDirectory: `${copy}/kept`,
        onProgress: () => Effect.sync(() => void (built = true))
      })
      return Effect.map(Effect.provide(searched, layer, { local: true }), (hits) => ({ built, hits }))
    }),
  cache: true,
  sample: 5
})

const silent = Layer.succeed(
  Retriever,
  Retriever.fromSearch(
    "RetrieverMemory",
    () => Effect.fail(new RetrieverUnavailable({ retriever: "RetrieverMemory", reason: "nobody is there" }))
  )
)

faultsContract({
  name: "a kept answer",
  write: (root) =>
    Effect.provide(
      searched,
      RetrieverDiskCache.layer({ directory: `${root}/answers` }).pipe(
        Layer.provide(RetrieverMemory.layer({ documents: first }))
      ),
      { local: true }
    ),
  read: (root) =>
    Effect.provide(
      searched,
      RetrieverDiskCache.layer({ directory: `${root}/answers` }).pipe(Layer.provide(silent)),
      { local: true }
    ),
  cache: true,
  sample: 5
})

const reason = await absence(lance)

// it takes seconds; how its directory is replaced is tried with others
if (reason === undefined && everything) {
  faultsContract({
    name: "an index of LanceDB that replaces another",
    before: (root) => RetrieverLance.build(Stream.make(passages.slice(0, 1)), `${root}/x.lance`),
    write: (root) => RetrieverLance.build(Stream.make(passages.slice(1, 3)), `${root}/x.lance`),
    read: (root) => Effect.map(RetrieverLance.verify(`${root}/x.lance`), ({ documents }) => documents),
    incomplete: ["IndexIo"],
    native: true,
    keeps: /^x\.lance(\.building)?\//,
    sample: 1
  })
}
