// The files of a checkout are the subject; nothing here is an Effect.
// @effect-diagnostics nodeBuiltinImport:off
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { files } from "../../scripts/run-config.ts"

describe("files derived from the run configuration's schema", () => {
  for (const [path, content] of Object.entries(files())) {
    it(`${path} is up to date (npm run build:config)`, () => {
      assert.strictEqual(readFileSync(join(import.meta.dirname, "../..", path), "utf8"), content)
    })
  }

  it("describe every key", () => {
    const undescribed = (files()["docs/configuration.md"] ?? "").split("\n").filter((line) => /\|\s+\|$/.test(line))
    assert.deepStrictEqual(undescribed, [])
  })
})
