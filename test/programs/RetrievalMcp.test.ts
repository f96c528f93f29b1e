import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { McpProtocol, McpTest } from "effect/ai"
import * as RetrieverMemory from "../../src/layers/retriever/RetrieverMemory.ts"
import { registrations } from "../../src/programs/RetrievalMcp.ts"
import { type Retriever, RetrieverUnavailable } from "../../src/services/Retriever.ts"
import { controlled } from "../support/controlledRetriever.ts"
import { passages } from "../support/passages.ts"

const connect = (retriever: Layer.Layer<Retriever>) =>
  McpTest.makeClient(registrations.pipe(Layer.provide(retriever)), { protocols: [McpProtocol.v2025_11_25] })

describe("RetrievalMcp", () => {
  it.effect("offers a tool that finds passages", () =>
    Effect.gen(function*() {
      const client = yield* connect(RetrieverMemory.layer({ documents: passages }))
      const { tools } = yield* client.listTools({})
      assert.deepStrictEqual(tools.map(({ name }) => name), ["search"])
      const result = yield* client.callTool({ name: "search", arguments: { query: "Orla Venn", topK: 1 } })
      const text = JSON.stringify(result.content)
      assert.include(text, "She mapped the Glass Isles.")
      assert.notInclude(text, "Bram Oduya")
      assert.notInclude(text, "left out")
      const long = yield* client.callTool({ name: "search", arguments: { query: "Orla ".repeat(2000), topK: 1 } })
      assert.include(JSON.stringify(long.content), "of 10,000 characters the first 8,192 are read")
    }))

  it.effect("tells the agent why a search failed", () =>
    Effect.gen(function*() {
      const down = new RetrieverUnavailable({ retriever: "Controlled", reason: "down for the night" })
      const client = yield* connect(controlled(() => Effect.fail(down)).layer)
      const result = yield* client.callTool({ name: "search", arguments: { query: "x" } })
      assert.isTrue(result.isError)
      assert.include(JSON.stringify(result.content), "down for the night")
    }))
})
