import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, FileSystem, Layer, Stream } from "effect"
import { FetchHttpClient } from "effect/http"
import * as RetrieverBatching from "../../../src/layers/retriever/RetrieverBatching.ts"
import * as RetrieverCache from "../../../src/layers/retriever/RetrieverCache.ts"
import * as RetrieverConcurrency from "../../../src/layers/retriever/RetrieverConcurrency.ts"
import * as RetrieverDiskCache from "../../../src/layers/retriever/RetrieverDiskCache.ts"
import * as RetrieverLunr from "../../../src/layers/retriever/RetrieverLunr.ts"
import * as RetrieverMemory from "../../../src/layers/retriever/RetrieverMemory.ts"
import * as RetrieverRateLimit from "../../../src/layers/retriever/RetrieverRateLimit.ts"
import * as RetrieverRemote from "../../../src/layers/retriever/RetrieverRemote.ts"
import * as RetrieverResilient from "../../../src/layers/retriever/RetrieverResilient.ts"
import * as RetrieverRetry from "../../../src/layers/retriever/RetrieverRetry.ts"
import * as RetrieverTimeLimit from "../../../src/layers/retriever/RetrieverTimeLimit.ts"
import { retrieverContract } from "../../contract/retriever.ts"
import { serve } from "../../support/httpServer.ts"
import { passages } from "../../support/passages.ts"
import { answer } from "../../support/retrievalServer.ts"

const memory = RetrieverMemory.layer({ documents: passages })

const lunr = RetrieverLunr.layer(Stream.fromArray(passages), { cacheDirectory: false }).pipe(
  Layer.provide(NodeServices.layer)
)

const remote = (options: Omit<RetrieverRemote.Options, "url">) =>
  Layer.unwrap(Effect.gen(function*() {
    const { url } = yield* serve(answer(RetrieverMemory.make({ documents: passages })))
    return RetrieverRemote.layer({ ...options, url })
  }))

const diskCache = Layer.unwrap(Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  return RetrieverDiskCache.layer({ directory: yield* fs.makeTempDirectoryScoped() })
})).pipe(Layer.provide(memory), Layer.provide(NodeServices.layer))

retrieverContract("RetrieverMemory", { layer: memory })
retrieverContract("RetrieverLunr", { layer: lunr })
retrieverContract("RetrieverRemote (undici)", {
  layer: remote({}).pipe(Layer.provide(NodeHttpClient.layerUndici))
})
retrieverContract("RetrieverRemote (fetch, without scores)", {
  layer: remote({ returnScores: false }).pipe(Layer.provide(FetchHttpClient.layer))
})
retrieverContract("RetrieverRemote (skyrl)", {
  layer: remote({ dialect: "skyrl" }).pipe(Layer.provide(NodeHttpClient.layerUndici))
})
retrieverContract("RetrieverTimeLimit", { layer: RetrieverTimeLimit.layer().pipe(Layer.provide(memory)) })
retrieverContract("RetrieverRetry", { layer: RetrieverRetry.layer().pipe(Layer.provide(memory)) })
retrieverContract("RetrieverRateLimit", {
  layer: RetrieverRateLimit.layer({ limit: 100_000 }).pipe(Layer.provide(memory))
})
retrieverContract("RetrieverConcurrency", {
  layer: RetrieverConcurrency.layer({ limit: 2 }).pipe(Layer.provide(memory))
})
retrieverContract("RetrieverBatching", {
  layer: RetrieverBatching.layer({ maxBatch: 4 }).pipe(Layer.provide(memory))
})
retrieverContract("RetrieverCache", { layer: RetrieverCache.layer({ capacity: 3 }).pipe(Layer.provide(memory)) })
retrieverContract("RetrieverDiskCache", { layer: diskCache })
retrieverContract("RetrieverResilient over RetrieverLunr", {
  layer: RetrieverResilient.layer().pipe(Layer.provide(lunr))
})
