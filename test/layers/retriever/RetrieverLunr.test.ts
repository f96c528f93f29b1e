import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Stream } from "effect"
import lunr from "lunr"
import type { Document } from "../../../src/domain/Document.ts"
import { analyze } from "../../../src/domain/MultilingualAnalyzer.ts"
import * as RetrieverLunr from "../../../src/layers/retriever/RetrieverLunr.ts"
import { Retriever } from "../../../src/services/Retriever.ts"
import { passages, queries } from "../../support/passages.ts"

const layer = (documents: ReadonlyArray<Document>, options: RetrieverLunr.Options) =>
  RetrieverLunr.layer(Stream.fromArray(documents), options).pipe(Layer.provide(NodeServices.layer))

const search = (retriever: Layer.Layer<Retriever>, query: string, topK = 10) =>
  Retriever.use((service) => service.search(query, { topK })).pipe(Effect.provide(retriever, { local: true }))

/** Searches once and tells how often a build reported progress. */
const building = Effect.fnUntraced(function*(documents: ReadonlyArray<Document>, directory: string) {
  const reports: Array<RetrieverLunr.Progress> = []
  const hits = yield* search(
    layer(documents, {
      cacheDirectory: directory,
      onProgress: (progress) => Effect.sync(() => void reports.push(progress))
    }),
    "lighthouse"
  )
  return { hits, reports }
})

const inDirectory = <A, E>(use: (directory: string, fs: FileSystem.FileSystem) => Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    return yield* use(yield* fs.makeTempDirectoryScoped(), fs)
  }).pipe(Effect.provide(NodeServices.layer))

describe("RetrieverLunr", () => {
  it.effect("scores as lunr itself does", () =>
    Effect.gen(function*() {
      const builder = new lunr.Builder()
      builder.tokenizer = Object.assign(
        (text?: null | string | object | ReadonlyArray<object>) =>
          analyze(String(text)).map((term) => new lunr.Token(term, {})),
        { separator: /x/ }
      )
      builder.ref("id")
      builder.field("title")
      builder.field("text")
      for (const passage of passages) builder.add(passage)
      const index = builder.build()
      for (
        const query of [
          ...queries,
          "herring lighthouse herring engineer",
          "Café Élan 北海 unknown",
          "Maren Maren Maren a harbour island"
        ]
      ) {
        const hits = yield* search(layer(passages, { cacheDirectory: false }), query)
        const theirs = new Map(
          index.query((terms) => {
            for (const term of analyze(query)) terms.term(term, { usePipeline: false })
          }).map(({ ref, score }) => [ref, score])
        )
        assert.strictEqual(hits.length, theirs.size)
        assert.isAbove(hits.length, 0)
        for (const { id, score } of hits) assert.closeTo(score, theirs.get(id) ?? Number.NaN, 1e-6)
      }
    }))

  it.effect("finds a passage whose weight lunr rounds to nothing", () =>
    Effect.gen(function*() {
      const documents = [
        { id: "long", title: "", text: `rare ${"filler ".repeat(20_000)}` },
        ...Array.from({ length: 300 }, (_, n) => ({ id: `${n}`, title: "", text: n % 2 === 0 ? "rare" : "other" }))
      ]
      const hits = yield* search(layer(documents, { cacheDirectory: false }), "rare", 1000)
      assert.strictEqual(hits.at(-1)?.id, "long")
    }))

  it.effect("ranks equal scores in corpus order", () =>
    Effect.gen(function*() {
      const twins = Array.from({ length: 30 }, (_, n) => ({ id: `t${29 - n}`, title: "Tolm", text: "An island." }))
      const hits = yield* search(layer(twins, { cacheDirectory: false }), "island", 30)
      assert.deepStrictEqual(hits.map(({ id }) => id), twins.map(({ id }) => id))
    }))

  it.effect("finds words of every script, and not a part of one", () =>
    Effect.gen(function*() {
      for (const query of ["Элан", "(Кафе", "Élan", "«北海»", "jökulhlaup!"]) {
        const [first] = yield* search(layer(passages, { cacheDirectory: false }), query)
        assert.strictEqual(first?.id, "p5", query)
      }
      assert.deepStrictEqual(yield* search(layer(passages, { cacheDirectory: false }), "lan"), [])
    }))

  it.effect("keeps passages apart that share an id", () =>
    Effect.gen(function*() {
      const documents = [{ id: "x", title: "One", text: "herring" }, { id: "x", title: "Two", text: "herring" }]
      const hits = yield* search(layer(documents, { cacheDirectory: false }), "herring")
      assert.deepStrictEqual(hits.map(({ title }) => title), ["One", "Two"])
    }))

  it.effect("keeps the index for the next run, and builds another for other passages", () =>
    inDirectory((directory, fs) =>
      Effect.gen(function*() {
        const first = yield* building(passages, directory)
        assert.deepStrictEqual(first.reports, [{ indexed: passages.length, total: passages.length }])
        const second = yield* building(passages, directory)
        assert.deepStrictEqual(second, { hits: first.hits, reports: [] })
        const other = yield* building(passages.slice(1), directory)
        assert.strictEqual(other.reports.length, 1)
        assert.strictEqual((yield* fs.readDirectory(directory)).length, 2)
      })
    ))

  it.effect.each(["", "{", "0\n{}", "not\nan index"])(
    "builds a damaged index again (%#)",
    (damage) =>
      inDirectory((directory, fs) =>
        Effect.gen(function*() {
          const { hits } = yield* building(passages, directory)
          const [file = ""] = yield* fs.readDirectory(directory)
          const whole = yield* fs.readFileString(`${directory}/${file}`)
          yield* fs.writeFileString(`${directory}/${file}`, damage)
          const again = yield* building(passages, directory)
          assert.strictEqual(again.reports.length, 1)
          assert.deepStrictEqual(again.hits, hits)
          assert.strictEqual(yield* fs.readFileString(`${directory}/${file}`), whole)
        })
      )
  )

  it.effect("notices a changed byte", () =>
    inDirectory((directory, fs) =>
      Effect.gen(function*() {
        yield* building(passages, directory)
        const [file = ""] = yield* fs.readDirectory(directory)
        const whole = yield* fs.readFileString(`${directory}/${file}`)
        yield* fs.writeFileString(`${directory}/${file}`, whole.replace("lighthous", "lighthouz"))
        assert.strictEqual((yield* building(passages, directory)).reports.length, 1)
      })
    ))

  it.effect("searches without a place for its index", () =>
    inDirectory((directory, fs) =>
      Effect.gen(function*() {
        yield* fs.writeFileString(`${directory}/file`, "")
        const { hits } = yield* building(passages, `${directory}/file`)
        assert.isAbove(hits.length, 0)
      })
    ))
})
