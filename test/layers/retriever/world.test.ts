import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import * as World from "../../../src/domain/world/World.ts"
import * as RetrieverLunr from "../../../src/layers/retriever/RetrieverLunr.ts"
import { Retriever } from "../../../src/services/Retriever.ts"

const world = World.make({ seed: "retrieval" })

it.live("lunr finds the passages of a world by the names of their entities", () =>
  Effect.gen(function*() {
    const retriever = yield* Retriever
    let first = 0
    for (let index = 0; index < world.entities; index++) {
      const found = yield* retriever.search(world.nameOf(index).toLowerCase(), { topK: 3 })
      assert.include(found.map(({ id }) => id), String(index))
      if (found[0]?.id === String(index)) first++
    }
    assert.isAtLeast(first, 0.99 * world.entities)
  }).pipe(
    Effect.provide(
      RetrieverLunr.layer(Stream.fromIterable(World.documents(world)), { cacheDirectory: false }).pipe(
        Layer.provide(NodeServices.layer)
      )
    )
  ))
