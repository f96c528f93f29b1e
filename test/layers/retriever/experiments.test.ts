import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer, Redacted, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as RetrieverBudget from "../../../src/layers/retriever/RetrieverBudget.ts"
import * as RetrieverFault from "../../../src/layers/retriever/RetrieverFault.ts"
import * as RetrieverMemory from "../../../src/layers/retriever/RetrieverMemory.ts"
import * as RetrieverRandom from "../../../src/layers/retriever/RetrieverRandom.ts"
import * as RetrieverSimulated from "../../../src/layers/retriever/RetrieverSimulated.ts"
import { Retriever } from "../../../src/services/Retriever.ts"
import { retrieverContract } from "../../contract/retriever.ts"
import { controlled, hits } from "../../support/controlledRetriever.ts"
import { json, serve } from "../../support/httpServer.ts"
import { passages } from "../../support/passages.ts"

const memory = RetrieverMemory.layer({ documents: passages })
const numbers = Array.from({ length: 1000 }, (_, n) => n)

retrieverContract("RetrieverBudget", {
  layer: RetrieverBudget.layer({ budget: 1e9 }).pipe(Layer.provide(memory)),
  runs: 5
})
retrieverContract("RetrieverFault without faults", {
  layer: RetrieverFault.layer({ seed: 1 }).pipe(Layer.provide(memory)),
  runs: 5
})

retrieverContract("RetrieverRandom", {
  layer: RetrieverRandom.layer(Stream.fromArray(passages)),
  exact: false,
  runs: 5
})

describe("RetrieverRandom", () => {
  const found = (seed: number) =>
    Retriever.use((retriever) => Effect.forEach(numbers, (n) => retriever.search(`q${n}`, { topK: 1 }))).pipe(
      Effect.map((answers) => answers.map(([first]) => first?.id)),
      Effect.provide(RetrieverRandom.layer(Stream.fromArray(passages), { seed }), { local: true })
    )

  it.effect("draws every passage about as often as any other, the same for a query each time", () =>
    Effect.gen(function*() {
      const ids = yield* found(1)
      assert.deepStrictEqual(yield* found(1), ids)
      assert.notDeepEqual(yield* found(2), ids)
      for (const { id } of passages) {
        assert.closeTo(ids.filter((other) => other === id).length, 1000 / passages.length, 60)
      }
    }))
})

describe("RetrieverBudget", () => {
  it.effect("asks nobody once the next call would cost too much", () => {
    const inner = controlled()
    return Effect.gen(function*() {
      const retriever = yield* Retriever
      yield* retriever.searchMany(["a", "b"], { topK: 1 })
      const error = yield* Effect.flip(retriever.searchMany(["c", "d"], { topK: 1 }))
      assert.strictEqual(error._tag, "RetrieverQuotaExceeded")
      assert.include(error.message, "budget of 0.3")
      yield* retriever.search("e", { topK: 1 })
      assert.strictEqual((yield* Effect.flip(retriever.search("f", { topK: 1 })))._tag, "RetrieverQuotaExceeded")
      assert.strictEqual(inner.calls.length, 2)
    }).pipe(
      Effect.provide(RetrieverBudget.layer({ budget: 0.3, costPerQuery: 0.1 - 1e-12 }).pipe(Layer.provide(inner.layer)))
    )
  })
})

describe("RetrieverFault", () => {
  const outcomes = (options: RetrieverFault.Options, concurrency: number) =>
    Retriever.use((retriever) =>
      Effect.forEach(numbers, (n) => Effect.result(retriever.search(`q${n}`, { topK: 2 })), { concurrency })
    ).pipe(Effect.provide(RetrieverFault.layer(options).pipe(Layer.provide(controlled().layer)), { local: true }))

  it.effect("drops, empties and corrupts the share that it is told to, the same ones for the same seed", () =>
    Effect.gen(function*() {
      const options = { seed: 7, drop: 0.2, empty: 0.1, corrupt: 0.5 }
      const one = yield* outcomes(options, 1)
      assert.deepStrictEqual(yield* outcomes(options, 50), one)
      const dropped = one.filter(({ _tag }) => _tag === "Failure").length
      const empty = one.filter((outcome) => outcome._tag === "Success" && outcome.success.length === 0).length
      assert.closeTo(dropped, 200, 50)
      assert.closeTo(empty, 80, 35)
      const other = yield* outcomes({ ...options, seed: 8 }, 1)
      assert.notDeepEqual(other.map(({ _tag }) => _tag), one.map(({ _tag }) => _tag))
    }))

  it.effect("corrupts texts by putting their words in another order", () =>
    Effect.gen(function*() {
      const layer = RetrieverFault.layer({ seed: 1, corrupt: 1 }).pipe(Layer.provide(memory))
      const [hit] = yield* Retriever.use((retriever) => retriever.search("Orla Venn", { topK: 1 })).pipe(
        Effect.provide(layer)
      )
      const original = passages.find(({ id }) => id === hit?.id)
      assert.strictEqual(hit?.title, original?.title)
      assert.notStrictEqual(hit?.text, original?.text)
      assert.deepStrictEqual(hit?.text.split(" ").toSorted(), original?.text.split(" ").toSorted())
    }))

  it.effect("lets another attempt succeed", () =>
    Effect.gen(function*() {
      const retriever = yield* Retriever
      const tries = yield* Effect.forEach(numbers.slice(0, 40), () =>
        Effect.result(retriever.search("same", { topK: 1 })))
      assert.strictEqual(
        new Set(tries.map(({ _tag }) =>
          _tag
        )).size,
        2
      )
    }).pipe(Effect.provide(RetrieverFault.layer({ seed: 3, drop: 0.5 }).pipe(Layer.provide(memory)))))

  it.effect("delays within its bound", () => {
    const times: Array<number> = []
    const inner = controlled(() => Effect.map(Clock.currentTimeMillis, (now) => void times.push(now)))
    return Effect.gen(function*() {
      const retriever = yield* Retriever
      const fiber = yield* Effect.forkChild(retriever.searchMany(numbers.slice(0, 50).map(String), { topK: 1 }))
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(fiber)
      assert.isAbove(Math.max(...times), 1000)
      assert.isAtMost(Math.max(...times), 2000)
    }).pipe(
      Effect.provide(
        RetrieverFault.layer({ seed: 3, delay: 1, maxDelay: "2 seconds" }).pipe(Layer.provide(inner.layer))
      )
    )
  })
})

describe("RetrieverSimulated", () => {
  const completion = (content: string | null) => ({ choices: [{ message: { role: "assistant", content } }] })

  const simulated = (url: string, options?: Partial<RetrieverSimulated.Options>) =>
    RetrieverSimulated.layer({ url: url.replace("/retrieve", "/v1"), model: "m", ...options }).pipe(
      Layer.provide(NodeHttpClient.layerUndici)
    )

  const readings: ReadonlyArray<
    readonly [answer: string, found: ReadonlyArray<readonly [title: string, text: string]>]
  > = [
    ["<think>\nDoc 1: maybe.\n</think>\n\nDoc 1(Title: A) a", [["\"A\"", "a"]]],
    ["Doc 1: a thought the template opened\n</think>\nDoc 1(Title: A) a", [["\"A\"", "a"]]],
    ["<think>\nDoc 1: cut while it thought", []],
    ["Doc 1(Title: Foo (band) discography) Two records.", [["\"Foo (band) discography\"", "Two records."]]],
    ["Doc 1(Title: A (b (c)) d): text (in brackets)", [["\"A (b (c)) d\"", "text (in brackets)"]]],
    ["Doc 1(Title: Sad :( day) text", [["\"Sad :( day\"", "text"]]],
    ["Doc 1(Title: A)text", [["\"A\"", "text"]]]
  ]
  for (const [answer, found] of readings) {
    it(`reads ${JSON.stringify(answer)}`, () => {
      assert.deepStrictEqual(
        RetrieverSimulated.parse(answer, 3).map(({ text, title }) => [title, text] as const),
        found
      )
    })
  }

  it.live("takes a model that was cut before it answered for a failure, not for no hits", () =>
    Effect.gen(function*() {
      for (const content of [null, "<think>\nlong", "long\n</think>\n"]) {
        const server = yield* serve((_, response) => json(response, completion(content)))
        const error = yield* Retriever.use((retriever) => retriever.search("Tolm?", { topK: 2 })).pipe(
          Effect.provide(simulated(server.url)),
          Effect.flip
        )
        assert.strictEqual(error._tag, "RetrieverUnexpectedShape")
      }
    }))

  it.live("asks a chat model for documents and reads them", () =>
    Effect.gen(function*() {
      const server = yield* serve((_, response) =>
        json(
          response,
          completion(
            "Sure!\nDoc 1(Title: Tolm (island)) An island.\nIt has a lighthouse.\n\n**Doc 2**: no title\nDoc 3(Title: C) c"
          )
        )
      )
      const documents = yield* Retriever.use((retriever) => retriever.search("Tolm?", { topK: 2 })).pipe(
        Effect.provide(simulated(server.url, { key: Redacted.make("k"), seed: 5 }))
      )
      assert.deepStrictEqual(documents.map(({ score, text, title }) => ({ score, text, title })), [
        { score: 1, text: "An island. It has a lighthouse.", title: "\"Tolm (island)\"" },
        { score: 0.5, text: "no title", title: "" }
      ])
      assert.strictEqual(server.urls[0], "/v1/chat/completions")
      assert.strictEqual(server.headers[0]?.authorization, "Bearer k")
      const sent = JSON.parse(server.bodies[0] ?? "")
      assert.deepStrictEqual([sent.model, sent.seed, sent.temperature], ["m", 5, 0.7])
      assert.include(sent.messages[0].content, "Query: Tolm?")
      assert.include(sent.messages[0].content, "2 documents")
    }))

  it.live("asks for noise for the share of queries that it is told to, the same ones each time", () =>
    Effect.gen(function*() {
      const server = yield* serve((_, response) => json(response, completion("Doc 1: x")))
      const queries = numbers.slice(0, 60).map((n) => `q${n}`)
      const noisy = Effect.gen(function*() {
        const from = server.bodies.length
        yield* Retriever.use((retriever) => retriever.searchMany(queries, { topK: 1 })).pipe(
          Effect.provide(simulated(server.url, { noise: 0.5 }), { local: true })
        )
        const marked = server.bodies.slice(from).filter((body) => body.includes("must not contain"))
        return marked.map((body) => /q\d+/.exec(body)?.[0]).toSorted()
      })
      const first = yield* noisy
      assert.closeTo(first.length, 30, 15)
      assert.deepStrictEqual(yield* noisy, first)
    }))

  it.live("takes an answer without documents for no hits, and a strange one for an error", () =>
    Effect.gen(function*() {
      let answer: unknown = completion("")
      const server = yield* serve((_, response) => json(response, answer))
      const search = Retriever.use((retriever) => retriever.search("x", { topK: 1 })).pipe(
        Effect.provide(simulated(server.url))
      )
      assert.deepStrictEqual(yield* search, [])
      answer = completion("I cannot do that.")
      assert.deepStrictEqual(yield* search, [])
      answer = { choices: [] }
      assert.strictEqual((yield* Effect.flip(search))._tag, "RetrieverUnexpectedShape")
      assert.deepStrictEqual(hits("x", 0), [])
    }))
})
