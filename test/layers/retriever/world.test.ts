import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import * as World from "../../../src/domain/world/World.ts"
import * as RetrieverBm25 from "../../../src/layers/retriever/RetrieverBm25.ts"
import * as RetrieverLunr from "../../../src/layers/retriever/RetrieverLunr.ts"
import { Retriever } from "../../../src/services/Retriever.ts"

const world = World.make({ seed: "retrieval" })
const documents = Stream.suspend(() => Stream.fromIterable(World.documents(world)))

describe("the passages of a world are found by the names of their entities", () => {
  const found = Effect.gen(function*() {
    const retriever = yield* Retriever
    let first = 0
    for (let index = 0; index < world.entities; index++) {
      const found = yield* retriever.search(world.nameOf(index).toLowerCase(), { topK: 3 })
      assert.include(found.map(({ id }) => id), String(index))
      if (found[0]?.id === String(index)) first++
    }
    assert.isAtLeast(first, 0.99 * world.entities)
  })

  it.live("by lunr", () =>
    found.pipe(Effect.provide(
      RetrieverLunr.layer(documents, { cacheDirectory: false }).pipe(Layer.provide(NodeServices.layer))
    )))

  it.live("by BM25", () =>
    found.pipe(Effect.provide(
      RetrieverBm25.layer(documents)
    )))
})
