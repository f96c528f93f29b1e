import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, FileSystem, Layer, Stream } from "effect"
import { lance } from "../../../src/layers/optional/packages.ts"
import * as RetrieverBm25 from "../../../src/layers/retriever/RetrieverBm25.ts"
import * as RetrieverLance from "../../../src/layers/retriever/RetrieverLance.ts"
import * as RetrieverLunr from "../../../src/layers/retriever/RetrieverLunr.ts"
import * as RetrieverMemory from "../../../src/layers/retriever/RetrieverMemory.ts"
import type { Retriever } from "../../../src/services/Retriever.ts"
import { lexicalContract } from "../../contract/lexical.ts"
import { languagePassages } from "../../support/languages.ts"
import { absence } from "../../support/optionalPackage.ts"

const documents = Stream.fromArray(languagePassages)

/** A retriever over what `use` puts into a folder. */
const inDirectory = <E, E2>(
  use: (
    directory: string
  ) => Effect.Effect<Layer.Layer<Retriever, E, NodeServices.NodeServices>, E2, NodeServices.NodeServices>
) =>
  Layer.unwrap(Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    return yield* use(yield* fs.makeTempDirectoryScoped())
  })).pipe(Layer.provide(NodeServices.layer))

lexicalContract("RetrieverLunr", {
  layer: RetrieverLunr.layer(documents, { cacheDirectory: false }).pipe(Layer.provide(NodeServices.layer))
})
lexicalContract("RetrieverLunr with a stored index", {
  layer: inDirectory((cacheDirectory) =>
    Effect.as(
      Effect.scoped(Layer.build(RetrieverLunr.layer(documents, { cacheDirectory }))),
      RetrieverLunr.layer(documents, { cacheDirectory })
    )
  )
})
lexicalContract("RetrieverBm25", { layer: RetrieverBm25.layer(documents) })
lexicalContract("RetrieverBm25 from a file", {
  layer: inDirectory((directory) =>
    Effect.as(
      RetrieverBm25.build(Stream.make(languagePassages), `${directory}/x.idx`, { pieceSize: 10 }),
      RetrieverBm25.layerIndex(`${directory}/x.idx`)
    )
  )
})
lexicalContract("RetrieverBm25 as Lucene", {
  layer: RetrieverBm25.layer(documents, { parameters: RetrieverBm25.luceneParameters }),
  spaced: true
})
lexicalContract("RetrieverMemory", { layer: RetrieverMemory.layer({ documents: languagePassages }) })
if ((await absence(lance)) === undefined) {
  lexicalContract("RetrieverLance", {
    layer: inDirectory((directory) =>
      Effect.as(
        RetrieverLance.build(Stream.make(languagePassages), `${directory}/x.lance`),
        RetrieverLance.layerWords(`${directory}/x.lance`)
      )
    )
  })
}
