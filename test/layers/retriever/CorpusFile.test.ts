import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Stream } from "effect"
import { gzipSync } from "node:zlib"
import * as CorpusFile from "../../../src/layers/retriever/CorpusFile.ts"
import { hasShared, sharedPath } from "../../sharedData.ts"
import { withWarnings } from "../../support/warnings.ts"

const line = (id: string, text = "x") => JSON.stringify({ id, contents: `T${id}\n${text}` })

const withFile = <A, E>(
  content: string | Uint8Array,
  use: (path: string) => Effect.Effect<A, E>,
  name = "corpus.jsonl"
) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = `${yield* fs.makeTempDirectoryScoped()}/${name}`
    yield* typeof content === "string" ? fs.writeFileString(path, content) : fs.writeFile(path, content)
    return yield* use(path)
  }).pipe(Effect.provide(NodeServices.layer))

const ids = (path: string) =>
  Stream.runCollect(CorpusFile.stream(path)).pipe(Effect.map((documents) => documents.map(({ id }) => id)))

const three = ["a", "b", "c"].map((id) => line(id)).join("\n")

describe("CorpusFile", () => {
  it.live.each<readonly [string, string | Uint8Array]>([
    ["line feeds", `${three}\n`],
    ["no end of the last line", three],
    ["carriage returns, a byte-order mark and empty lines", `\uFEFF${three.replaceAll("\n", "\r\n\r\n")}\r\n`],
    ["gzip", gzipSync(three)],
    ["gzip in two members", Buffer.concat([gzipSync(`${line("a")}\n`), gzipSync(`${line("b")}\n${line("c")}`)])]
  ])(
    "reads %s",
    ([, content]) =>
      withFile(content, (path) => Effect.map(ids(path), (read) => assert.deepStrictEqual(read, ["a", "b", "c"])))
  )

  it.live("reads an empty file as no passage", () =>
    withFile("", (path) => Effect.map(ids(path), (read) => assert.deepStrictEqual(read, []))))

  it.live("keeps characters whole where pieces of the file meet", () => {
    const texts = Array.from({ length: 4000 }, (_, n) => "🧭é漢".repeat(n % 50))
    return withFile(
      texts.map((text, n) => line(String(n), text)).join("\n"),
      (path) =>
        Effect.map(
          Stream.runCollect(CorpusFile.stream(path)),
          (documents) => assert.deepStrictEqual(documents.map(({ text }) => text), texts)
        )
    )
  })

  it.live("reads one array, and lines that end with a carriage return", () =>
    Effect.gen(function*() {
      for (const text of [`[${three.replaceAll("\n", ",\n")}]`, three.replaceAll("\n", "\r")]) {
        assert.deepStrictEqual(yield* withFile(text, ids), ["a", "b", "c"])
      }
      const error = yield* withFile(`${three}\r{"id":1}`.replaceAll("\n", "\r"), (path) => Effect.flip(ids(path)))
      assert.strictEqual(error.line, 4)
    }))

  it.live("warns of text that is no UTF-8, by line and number", () =>
    Effect.gen(function*() {
      const latin = Buffer.from(`${line("a")}\n${line("b", "caf\xe9")}\n${line("c", "\xe9")}\n`, "latin1")
      for (const content of [latin, gzipSync(latin)]) {
        const { value, warnings } = yield* withFile(content, (path) => withWarnings(ids(path)))
        assert.deepStrictEqual(value, ["a", "b", "c"])
        assert.match(warnings.join("\n"), /corpus\.jsonl:2: bytes that are no UTF-8.*\n.*corpus\.jsonl: 2 lines hold/)
      }
      const utf16 = yield* withFile(Buffer.from(`\uFEFF${three}`, "utf16le"), (path) => Effect.flip(ids(path)))
      assert.include(utf16.message, "UTF-16")
    }))

  it.live("warns of titles and texts that the contents beside them do not hold", () =>
    Effect.gen(function*() {
      const row = (fields: object) => JSON.stringify({ id: "1", contents: "\"T\"\nx y", ...fields })
      const same = [{ title: "T", text: "x y" }, { title: "\"T\"", text: " x y\n" }, { title: "", text: "y" }, {
        title: 7
      }]
      const other = [{ title: "U", text: "x y" }, { title: "T", text: "x y z" }]
      const told = (rows: ReadonlyArray<object>) =>
        withFile(rows.map(row).join("\n"), (path) => Effect.map(withWarnings(ids(path)), ({ warnings }) => warnings))
      assert.deepStrictEqual(yield* told(same), [])
      const [first, count, ...more] = yield* told([...same, ...other])
      assert.match(first ?? "", /corpus\.jsonl:5: "contents" is read/)
      assert.match(count ?? "", /corpus\.jsonl: 2 passages have/)
      assert.deepStrictEqual(more, [])
    }))

  it.live("names the file and the line that it cannot read", () =>
    withFile(`${line("a")}\n\n${line("b")}\n{"id":1}\n${line("c")}`, (path) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(ids(path))
        assert.strictEqual(error._tag, "CorpusUnreadable")
        assert.strictEqual(error.line, 4)
        assert.isTrue(error.message.startsWith(`${path}:4: `), error.message)
      })))

  it.live("says that a compressed file is cut off or damaged", () => {
    const whole = gzipSync(Array.from({ length: 500 }, (_, n) => line(String(n), String(Math.sin(n)))).join("\n"))
    const damaged = Uint8Array.from(whole, (byte, index) => index > 200 && index < 300 ? byte ^ 0x5a : byte)
    return Effect.gen(function*() {
      const cut = yield* withFile(whole.subarray(0, whole.length / 2), (path) => Effect.flip(ids(path)))
      assert.include(cut.message, "cut off")
      const broken = yield* withFile(damaged, (path) => Effect.flip(ids(path)))
      assert.strictEqual(broken._tag, "CorpusUnreadable")
    })
  })

  it.live("says that a file is missing or a directory", () =>
    Effect.gen(function*() {
      assert.include((yield* Effect.flip(ids("/no/such/file.jsonl"))).message, "no such file")
      assert.include((yield* Effect.flip(ids("/"))).message, "directory")
    }))

  it.live("reads no further than it is asked", () =>
    withFile(
      `${Array.from({ length: 50_000 }, (_, n) => line(String(n))).join("\n")}\nbroken`,
      (path) =>
        Effect.gen(function*() {
          const first = yield* Stream.runHead(CorpusFile.stream(path))
          assert.strictEqual(first._tag, "Some")
          assert.strictEqual((yield* Effect.flip(ids(path))).line, 50_001)
        })
    ))

  it.live.skipIf(!hasShared("search-r1/corpus.jsonl"))(
    "reads the reference's corpus in ../shared/data",
    () =>
      Effect.gen(function*() {
        const [first] = yield* Stream.runCollect(CorpusFile.stream(sharedPath("search-r1/corpus.jsonl")))
        assert.strictEqual(first?.title, "\"Evan Morris\"")
      })
  )
})
