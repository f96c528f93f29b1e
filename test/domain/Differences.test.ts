import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Differences from "../../src/domain/Differences.ts"

describe("differences of two values", () => {
  it("are told key by key, at any depth, with old and new value", () => {
    const before = { a: 1, b: { c: [1, 2], d: null, e: { f: "x" } }, gone: true }
    const after = { a: 1, b: { c: [1, 3], d: { g: 1 }, e: { f: "y" } }, come: 0 }
    assert.deepStrictEqual(Differences.between(before, after), [
      { key: "b.c", before: [1, 2], after: [1, 3] },
      { key: "b.d", before: null, after: { g: 1 } },
      { key: "b.e.f", before: "x", after: "y" },
      { key: "gone", before: true, after: null },
      { key: "come", before: null, after: 0 }
    ])
    assert.strictEqual(
      Differences.describe({ key: "b.e.f", before: "x", after: { y: 1 } }),
      "b.e.f was \"x\" and is now {\"y\":1}"
    )
  })

  it.prop("there are none between a value and itself", [Schema.Record(Schema.String, Schema.Json)], ([value]) => {
    assert.deepStrictEqual(Differences.between(value, value), [])
  })
})
