import { assert, describe, it } from "@effect/vitest"
import { plural } from "../../src/domain/Plural.ts"

describe("numbers of things", () => {
  it("have one thing of one only", () => {
    assert.deepStrictEqual(
      [0, 1, 2, 10_000].map((count) => plural(count, "step")),
      ["0 steps", "1 step", "2 steps", "10,000 steps"]
    )
    assert.strictEqual(plural(2, "search", "searches"), "2 searches")
  })
})
