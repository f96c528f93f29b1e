/**
 * An embedder that keeps its vectors in a file, so that a corpus is embedded once for all engines and runs.
 */
import { Effect, Layer } from "effect"
import { createHash } from "node:crypto"
import { appendFileSync, existsSync, readFileSync } from "node:fs"
import { Embedder } from "../../src/services/Embedder.ts"

/** The bytes of a key: the beginning of the SHA-256 of `query` or `passage` and the text. */
const keyBytes = 16
const keyOf = (kind: string, text: string) =>
  createHash("sha256").update(`${kind}\n${text}`).digest().subarray(0, keyBytes).toString("hex")

export const remembered = (file: string, dimensions: number): Layer.Layer<Embedder, never, Embedder> =>
  Layer.effect(
    Embedder,
    Effect.gen(function*() {
      const inner = yield* Embedder
      const known = new Map<string, Float32Array>()
      if (existsSync(file)) {
        const bytes = readFileSync(file)
        const record = keyBytes + 4 * dimensions
        for (let at = 0; at + record <= bytes.length; at += record) {
          const vector = new Float32Array(dimensions)
          new Uint8Array(vector.buffer).set(bytes.subarray(at + keyBytes, at + record))
          known.set(bytes.subarray(at, at + keyBytes).toString("hex"), vector)
        }
      }
      const through = (kind: "query" | "passage", embed: Embedder["Service"]["queries"]) =>
        Effect.fnUntraced(function*(texts: ReadonlyArray<string>) {
          const keys = texts.map((text) => keyOf(kind, text))
          const missing = texts.map((_, index) => index).filter((index) => !known.has(keys[index] ?? ""))
          const vectors = missing.length === 0 ? [] : yield* embed(missing.map((index) => texts[index] ?? ""))
          for (const [at, index] of missing.entries()) {
            const vector = vectors[at]
            const key = keys[index]
            if (vector?.length !== dimensions || key === undefined) {
              return yield* Effect.die(new Error(`expected ${dimensions} dimensions, not ${vector?.length}`))
            }
            known.set(key, vector)
            appendFileSync(file, Buffer.concat([Buffer.from(key, "hex"), new Uint8Array(vector.slice().buffer)]))
          }
          return keys.map((key) => known.get(key) ?? new Float32Array())
        })
      return Embedder.of({
        name: inner.name,
        queries: through("query", inner.queries),
        passages: through("passage", inner.passages)
      })
    })
  )
