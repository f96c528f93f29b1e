import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Schema, Stream } from "effect"
import { gzipSync } from "node:zlib"
import * as TextFile from "../../src/layers/textFile.ts"
import { withWarnings } from "../support/warnings.ts"

/** Reads bytes in pieces of these lengths, and what was warned of. */
const decode = Effect.fnUntraced(function*(bytes: Uint8Array, lengths: ReadonlyArray<number> = [1 << 16]) {
  const pieces: Array<Uint8Array> = []
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const length = Math.max(1, lengths[turn % Math.max(1, lengths.length)] ?? bytes.length)
    pieces.push(bytes.subarray(at, at + length))
    at += length
  }
  const { value, warnings } = yield* Stream.fromIterable(pieces).pipe(
    TextFile.decode("in.jsonl"),
    Stream.mkString,
    withWarnings
  )
  return { text: value, warnings }
})

const latin = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0))
const utf8 = (text: string) => new TextEncoder().encode(text)

describe("text", () => {
  it.effect("says where bytes are no UTF-8 and counts the lines", () =>
    Effect.gen(function*() {
      const one = yield* decode(latin("a\ncaf\xe9\nb"))
      assert.strictEqual(one.text, "a\ncaf\uFFFD\nb")
      assert.lengthOf(one.warnings, 1)
      assert.match(
        one.warnings[0]!,
        /^in\.jsonl:2: bytes that are no UTF-8 are read as \uFFFD\. Is the file in another/
      )
      const many = yield* decode(latin("\xe9\nb\n\xe9\xe9\xe9\n\xe9"))
      assert.lengthOf(many.warnings, 2)
      assert.match(many.warnings[0]!, /^in\.jsonl:1: bytes/)
      assert.strictEqual(many.warnings[1], "in.jsonl: 3 lines hold bytes that are no UTF-8")
    }))

  it.effect("takes no U+FFFD of the text itself for a fault", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* decode(utf8("a \uFFFD\n🧭"), [1]), { text: "a \uFFFD\n🧭", warnings: [] })
    }))

  const Bytes = Schema.Array(
    Schema.Literals([0x0a, 0x20, 0x41, 0x80, 0xbf, 0xc3, 0xa9, 0xe0, 0xe4, 0xed, 0xf0, 0x9f, 0xf5])
  )
  it.effect.prop(
    "is told alike however the bytes are cut, and as a decoder of whole lines tells it",
    [Bytes, Schema.Array(Schema.Literals([1, 2, 3, 7]))],
    ([list, lengths]) =>
      Effect.gen(function*() {
        // the first two bytes could be taken for another encoding
        const bytes = Uint8Array.from([0x41, 0x41, ...list])
        const { text, warnings } = yield* decode(bytes, lengths)
        assert.strictEqual(text, new TextDecoder().decode(bytes))
        const broken: Array<number> = []
        for (let line = 1, from = 0; from <= bytes.length; line++) {
          const end = bytes.indexOf(0x0a, from)
          const whole = bytes.subarray(from, end === -1 ? bytes.length : end)
          try {
            new TextDecoder("utf-8", { fatal: true }).decode(whole)
          } catch {
            broken.push(line)
          }
          if (end === -1) break
          from = end + 1
        }
        assert.deepStrictEqual(
          warnings.map((warning) => /^in\.jsonl(?::\d+: |: \d+ lines)/.exec(warning)?.[0]),
          broken.length === 0
            ? []
            : [`in.jsonl:${broken[0]}: `, ...(broken.length > 1 ? [`in.jsonl: ${broken.length} lines`] : [])]
        )
      })
  )

  it.effect("ends at what is no text, and names it", () =>
    Effect.gen(function*() {
      const utf16le = new Uint8Array(new Uint16Array([..."\uFEFF{\"id\""].map((c) => c.charCodeAt(0))).buffer)
      const swapped = Uint8Array.from(utf16le, (_, index) => utf16le[index ^ 1]!)
      for (
        const [bytes, reason] of [
          [utf16le, "UTF-16 (little endian"],
          [swapped, "UTF-16 (big endian"],
          [utf16le.subarray(2), "UTF-16 or UTF-32 without a byte-order mark"],
          [swapped.subarray(2), "UTF-16 or UTF-32 without a byte-order mark"],
          [Uint8Array.of(0xff, 0xfe, 0, 0, 0x7b, 0, 0, 0), "UTF-32 (little endian"],
          [utf8("PAR1…"), "a Parquet file"],
          [latin("PK\x03\x04…"), "a zip archive"],
          [latin("SR1-BM25["), "an index of this program"],
          [latin("\x28\xb5\x2f\xfd…"), "zstd"],
          [gzipSync("x"), "gzip twice"]
        ] as const
      ) {
        for (const lengths of [[1], [3], [100]]) {
          const error = yield* Effect.flip(decode(bytes, lengths))
          assert.include(error.message, `in.jsonl: this `)
          assert.include(error.message, reason)
        }
      }
      assert.deepStrictEqual(yield* decode(utf8("\uFEFFx"), [1]), { text: "x", warnings: [] })
    }))

  it.effect("is read from files, compressed or not", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = `${yield* fs.makeTempDirectoryScoped()}/a.gz`
      for (const bytes of [gzipSync(gzipSync("x")), gzipSync(Uint8Array.of(0xff, 0xfe, 0x7b, 0))]) {
        yield* fs.writeFile(path, bytes)
        assert.include((yield* Effect.flip(Stream.runDrain(TextFile.stream(path)))).message, `${path}: this file`)
      }
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("of a whole file must be UTF-8", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = `${yield* fs.makeTempDirectoryScoped()}/config.json`
      const whole = (bytes: Uint8Array) => Effect.andThen(fs.writeFile(path, bytes), TextFile.whole(path))
      assert.strictEqual(yield* whole(utf8("\uFEFF{}\n\uFFFD")), "{}\n\uFFFD")
      assert.strictEqual(yield* whole(new Uint8Array()), "")
      const message = (bytes: Uint8Array) => Effect.map(Effect.flip(whole(bytes)), (error) => error.message)
      assert.strictEqual(yield* message(latin("{\n\n\"caf\xe9\"}")), `${path}: line 3 holds bytes that are no UTF-8`)
      assert.include(yield* message(latin("{\n\xc3")), "line 2 holds")
      assert.include(yield* message(latin("\xff\xfe{\0}\0")), "is UTF-16 (little endian")
    }).pipe(Effect.provide(NodeServices.layer)))
})
