import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, FileSystem, Layer, Schema, Stream } from "effect"
import * as Bm25 from "../../../src/domain/Bm25.ts"
import { formatLine } from "../../../src/domain/Corpus.ts"
import { Document } from "../../../src/domain/Document.ts"
import { analyze } from "../../../src/domain/EnglishAnalyzer.ts"
import { luceneParameters, PostingsBuilder } from "../../../src/layers/retriever/bm25/postings.ts"
import { Searcher } from "../../../src/layers/retriever/bm25/search.ts"
import * as RetrieverBm25 from "../../../src/layers/retriever/RetrieverBm25.ts"
import { Retriever } from "../../../src/services/Retriever.ts"
import { retrieverContract } from "../../contract/retriever.ts"
import { passages, queries } from "../../support/passages.ts"

const indexed = (options?: RetrieverBm25.OpenOptions) =>
  Layer.unwrap(Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = `${yield* fs.makeTempDirectoryScoped()}/passages.idx`
    yield* RetrieverBm25.build(Stream.make(passages.slice(0, 4), [], passages.slice(4)), path)
    return RetrieverBm25.layerIndex(path, options)
  })).pipe(Layer.provide(NodeServices.layer))

retrieverContract("RetrieverBm25 in memory", { layer: RetrieverBm25.layer(Stream.fromArray(passages)) })
retrieverContract("RetrieverBm25 from a file", { layer: indexed() })
retrieverContract("RetrieverBm25 with passages on disk", { layer: indexed({ documentBytesInMemory: 0 }) })

const inDirectory = <A, E>(
  use: (directory: string, fs: FileSystem.FileSystem) => Effect.Effect<A, E, NodeServices.NodeServices>
) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    return yield* use(yield* fs.makeTempDirectoryScoped(), fs)
  }).pipe(Effect.provide(NodeServices.layer))

/** Every passage scored, nothing skipped. */
const definition = (documents: ReadonlyArray<Document>, query: string, topK: number) => {
  const texts = documents.map(({ text, title }) => [...analyze(title), ...analyze(text)])
  const counted = texts.filter((terms) => terms.length > 0)
  const average = counted.reduce((sum, terms) => sum + terms.length, 0) / counted.length
  const norm = Bm25.norm({ ...luceneParameters, average })
  const asked = new Map<string, number>()
  for (const term of analyze(query)) asked.set(term, (asked.get(term) ?? 0) + 1)
  return texts
    .map((terms, row) => {
      let score = 0
      for (const [term, count] of asked) {
        const frequency = terms.filter((other) => other === term).length
        const containing = texts.filter((other) => other.includes(term)).length
        if (frequency > 0) {
          score += Bm25.score(Bm25.weight(counted.length, containing, count), frequency, norm(terms.length))
        }
      }
      return { row, score: Math.fround(score) }
    })
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score || a.row - b.row)
    .slice(0, topK)
}

/** Words of very different frequency, so that common ones become inessential. */
const Word = Schema.Literals([
  "harbour",
  "harbour",
  "harbour",
  "harbour",
  "island",
  "island",
  "island",
  "engineer",
  "engineer",
  "lighthouse",
  "tea",
  "bridge"
])

describe("RetrieverBm25", () => {
  it.prop(
    "finds what scoring every passage finds",
    [
      Schema.Array(Schema.Array(Word).check(Schema.isMaxLength(12))).check(Schema.isMaxLength(60)),
      Schema.Array(Word).check(Schema.isMaxLength(6)),
      Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 12 }))
    ],
    ([texts, words, topK]) => {
      const documents = texts.map((text, row) => ({ id: String(row), title: "", text: text.join(" ") }))
      const builder = new PostingsBuilder({ ...luceneParameters, roundLengths: false })
      for (const { text, title } of documents) builder.add(title, text)
      const found = new Searcher(builder.finish()).search(words.join(" "), topK)
      const expected = definition(documents, words.join(" "), topK)
      assert.deepStrictEqual(found, expected)
    },
    { arbitrary: { runs: 200 } }
  )

  it("skips postings and finds the same, over many windows of rows", () => {
    let state = 1
    const random = (n: number) => (state = (state * 48_271) % 0x7fffffff) % n
    const rare = Array.from({ length: 3000 }, (_, n) => `r${n}x`)
    const common = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"]
    const builder = new PostingsBuilder({ ...luceneParameters, roundLengths: false })
    const rows: Array<string> = []
    for (let row = 0; row < 70_000; row++) {
      const words = common.filter((_, n) => random(n + 2) === 0)
      for (let n = random(4); n > 0; n--) words.push(rare[random(rare.length)] ?? "")
      rows.push(words.join(" "))
      builder.add("", words.join(" "))
    }
    const postings = builder.finish()
    const searcher = new Searcher(postings)
    const exhaustive = (query: string) => {
      const scores = new Map<number, number>()
      const asked = new Map<string, number>()
      for (const term of analyze(query)) asked.set(term, (asked.get(term) ?? 0) + 1)
      for (const [term, count] of asked) {
        const id = postings.terms.lookup(term)
        const [start = 0, end = 0] = id < 0 ? [] : postings.starts.slice(id, id + 2)
        const weight = Bm25.weight(postings.documentsWithTerms, end - start, count)
        for (let at = start; at < end; at++) {
          const row = postings.rows[at] ?? 0
          const added = Bm25.score(weight, postings.frequencies[at] ?? 0, postings.norms[row] ?? 0)
          scores.set(row, (scores.get(row) ?? 0) + added)
        }
      }
      return [...scores].map(([row, score]) => ({ row, score: Math.fround(score) }))
        .sort((a, b) => b.score - a.score || a.row - b.row)
    }
    let all = 0
    for (
      const query of [
        "alpha r17x beta",
        "r5x r6x gamma alpha",
        "alpha beta gamma delta",
        "r1x",
        "alpha alpha r2999x",
        "nothing"
      ]
    ) {
      const expected = exhaustive(query)
      all += expected.length
      for (const topK of [1, 3, 10, 50, 200]) {
        const found = searcher.search(query, topK)
        assert.deepStrictEqual(
          found.map(({ row }) => row),
          expected.slice(0, topK).map(({ row }) => row),
          `${query} ${topK}`
        )
      }
    }
    searcher.postingsScored = 0
    searcher.search("r17x alpha beta gamma delta", 3)
    assert.isBelow(searcher.postingsScored, all / 20)
  })

  it.live("gives a title its weight", () =>
    Effect.gen(function*() {
      const documents = [
        { id: "text", title: "Other", text: "lighthouse lighthouse" },
        { id: "title", title: "Lighthouse", text: "other other" }
      ]
      const first = (titleWeight: number) =>
        Retriever.use((retriever) => retriever.search("lighthouse", { topK: 1 })).pipe(
          Effect.map(([hit]) => hit?.id),
          Effect.provide(
            RetrieverBm25.layer(Stream.fromArray(documents), {
              parameters: { ...RetrieverBm25.luceneParameters, titleWeight }
            }),
            { local: true }
          )
        )
      assert.strictEqual(yield* first(1), "text")
      assert.strictEqual(yield* first(3), "title")
    }))

  it.live.prop(
    "keeps every passage to the letter",
    [Schema.Array(Document)],
    ([documents]) =>
      inDirectory((directory) =>
        Effect.scoped(Effect.gen(function*() {
          const path = `${directory}/x.idx`
          const description = yield* RetrieverBm25.build(Stream.make(documents), path)
          assert.strictEqual(description.documents, documents.length)
          for (const documentBytesInMemory of [0, 1 << 20]) {
            const index = yield* RetrieverBm25.open(path, { documentBytesInMemory })
            yield* index.verify
            assert.deepStrictEqual(documents.map((_, row) => index.document(row)), [...documents])
          }
        }))
      ),
    { arbitrary: { runs: 15 } }
  )

  it.live.prop(
    "writes the same file in pieces as in one go, and nothing beside it",
    [
      Schema.Array(Schema.Array(Schema.Union([Word, Schema.String])).check(Schema.isMaxLength(12))),
      Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 40 }))
    ],
    ([texts, pieceSize]) =>
      inDirectory((directory, fs) =>
        Effect.gen(function*() {
          const documents = texts.map((text, row) => ({ id: String(row), title: text[0] ?? "", text: text.join(" ") }))
          const batches = Stream.fromArray(documents).pipe(Stream.grouped(3))
          yield* RetrieverBm25.build(batches, `${directory}/whole.idx`)
          yield* RetrieverBm25.build(batches, `${directory}/pieces.idx`, { pieceSize })
          assert.deepStrictEqual(
            yield* fs.readFile(`${directory}/pieces.idx`),
            yield* fs.readFile(`${directory}/whole.idx`)
          )
          assert.deepStrictEqual((yield* fs.readDirectory(directory)).toSorted(), ["pieces.idx", "whole.idx"])
        })
      ),
    { arbitrary: { runs: 40 } }
  )

  it.live("names what is wrong with a file", () =>
    inDirectory((directory, fs) =>
      Effect.scoped(Effect.gen(function*() {
        const path = `${directory}/x.idx`
        const reason = Effect.fnUntraced(function*(content: Uint8Array) {
          yield* fs.writeFile(path, content)
          const error = yield* Effect.flip(
            Effect.flatMap(RetrieverBm25.open(path, { documentBytesInMemory: 0 }), ({ verify }) => verify)
          )
          assert.strictEqual(error._tag, "IndexCorrupt")
          return error.message
        })
        assert.strictEqual((yield* Effect.flip(RetrieverBm25.open(path)))._tag, "IndexIo")
        yield* RetrieverBm25.build(Stream.make(passages), path)
        const whole = yield* fs.readFile(path)
        assert.include(yield* reason(new Uint8Array()), "not an index")
        assert.include(
          yield* reason(new TextEncoder().encode("{\"id\":\"1\",\"contents\":\"x\"}\n".repeat(9))),
          "not an index"
        )
        assert.include(yield* reason(whole.subarray(0, whole.length - 1)), "cut off")
        assert.include(yield* reason(whole.subarray(0, 40)), "cut off")
      }))
    ))

  it.live("finds every damaged part when it is opened, passages on disk when they are verified", () =>
    inDirectory((directory, fs) =>
      Effect.gen(function*() {
        const path = `${directory}/x.idx`
        // more often than a byte counts: the part that holds such frequencies is not empty
        const often = { id: "often", title: "", text: "herring ".repeat(300) }
        const { sections } = yield* RetrieverBm25.build(Stream.make([...passages, often]), path)
        const whole = yield* fs.readFile(path)
        const parts = Object.entries(sections)
        assert.includeMembers(parts.map(([name]) => name), ["documents", "offsets", "frequencies", "termBytes"])
        const damage = (at: number) => fs.writeFile(path, whole.with(at, whole[at]! ^ 1))
        const opened = (documentBytesInMemory?: number) =>
          Effect.result(Effect.scoped(RetrieverBm25.open(path, { documentBytesInMemory })))
        const verified = Effect.result(
          Effect.scoped(Effect.flatMap(RetrieverBm25.open(path, { documentBytesInMemory: 0 }), ({ verify }) => verify))
        )
        for (const [name, { bytes, offset }] of parts) {
          assert.isAbove(bytes, 0, name)
          for (const at of [offset, offset + (bytes >> 1), offset + bytes - 1]) {
            yield* damage(at)
            const results = [yield* opened(), yield* verified, ...(name === "documents" ? [] : [yield* opened(0)])]
            for (const result of results) {
              assert(result._tag === "Failure", `${name}, byte ${at}`)
              assert(result.failure._tag === "IndexCorrupt")
              assert.include(result.failure.message, `the checksum of its part "${name}" does not match`)
            }
          }
        }
        const inPart = (at: number) => parts.some(([, { bytes, offset }]) => offset <= at && at < offset + bytes)
        // what fills a part up to eight bytes means nothing
        const fills = (at: number) =>
          parts.some(([, { bytes, offset }]) => {
            const end = offset + bytes
            return end <= at && at < Math.ceil(end / 8) * 8
          })
        let described = 0
        for (let at = 0; at < whole.length; at++) {
          if (inPart(at) || fills(at)) continue
          described++
          yield* damage(at)
          const result = yield* opened()
          assert(result._tag === "Failure", `byte ${at}`)
          assert.strictEqual(result.failure._tag, "IndexCorrupt")
        }
        assert.isAbove(described, 100)
      })
    ))

  it.live("leaves nothing behind when the corpus ends in an error", () =>
    inDirectory((directory, fs) =>
      Effect.gen(function*() {
        const broken = Stream.concat(Stream.make(passages), Stream.fail("broken" as const))
        assert.strictEqual(yield* Effect.flip(RetrieverBm25.build(broken, `${directory}/x.idx`)), "broken")
        assert.deepStrictEqual(yield* fs.readDirectory(directory), [])
      })
    ))

  it.live("removes what a killed build of the same index left, and nothing else", () =>
    inDirectory((directory, fs) =>
      Effect.gen(function*() {
        const path = `${directory}/x.idx`
        const begun = yield* Deferred.make<void>()
        const slow = Stream.concat(
          Stream.make(passages),
          Stream.fromEffect(Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
        )
        const running = yield* Effect.forkChild(RetrieverBm25.build(slow, path, { pieceSize: 1 }))
        yield* Deferred.await(begun)
        const made = (yield* fs.readDirectory(directory)).toSorted()
        assert.lengthOf(made, 2)
        // what the same process leaves when it is killed: no process has this number
        const left = made.map((name) => name.replace(`.${process.pid}.`, ".4194305."))
        const others = [
          "x.idx.tmp",
          "y.idx.4194305.tmp",
          ...made.map((name) => name.replace("x.idx.", "x.idx.elsewhere."))
        ]
        for (const name of [...left, ...others]) yield* fs.writeFileString(`${directory}/${name}`, "left")
        yield* RetrieverBm25.build(Stream.make(passages), path)
        assert.deepStrictEqual(
          (yield* fs.readDirectory(directory)).toSorted(),
          ["x.idx", ...made, ...others].toSorted()
        )
        yield* Fiber.interrupt(running)
        assert.deepStrictEqual((yield* fs.readDirectory(directory)).toSorted(), ["x.idx", ...others].toSorted())
      })
    ))

  it.effect("keeps the index of a corpus file, builds a damaged one again, and another for another file", () =>
    inDirectory((directory, fs) =>
      Effect.gen(function*() {
        const corpus = `${directory}/corpus.jsonl`
        const cacheDirectory = `${directory}/cache`
        /** The hits of one run, and whether it built an index. */
        const run = Effect.gen(function*() {
          let built = false
          const layer = RetrieverBm25.layerFile(corpus, {
            cacheDirectory,
            onProgress: () => Effect.sync(() => void (built = true))
          })
          const hits = yield* Retriever.use((retriever) => retriever.search(queries[0] ?? "", { topK: 3 })).pipe(
            Effect.provide(layer, { local: true })
          )
          return { hits, built }
        })
        yield* fs.writeFileString(corpus, passages.map(formatLine).join("\n"))
        const { built, hits } = yield* run
        assert.isTrue(built)
        assert.deepStrictEqual(yield* run, { hits, built: false })
        const [file = ""] = yield* fs.readDirectory(cacheDirectory)
        yield* fs.truncate(`${cacheDirectory}/${file}`, 1000)
        assert.deepStrictEqual(yield* run, { hits, built: true })
        yield* fs.writeFileString(corpus, passages.slice(1).map(formatLine).join("\n"))
        assert.isTrue((yield* run).built)
        const missing = yield* Effect.flip(
          Effect.scoped(Layer.build(RetrieverBm25.layerFile("/no/such", { cacheDirectory })))
        )
        assert.strictEqual(missing._tag, "CorpusUnreadable")
      })
    ))
})
