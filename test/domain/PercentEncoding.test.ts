import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as PercentEncoding from "../../src/domain/PercentEncoding.ts"

describe("PercentEncoding", () => {
  it.each([
    ["p%40ss", "p@ss"],
    ["caf%C3%A9%20au", "café au"],
    ["100%", "100%"],
    ["%%40%4", "%@%4"],
    ["%E9", "%E9"],
    ["%zz", "%zz"]
  ])("reads %s as %s", (text, expected) => assert.strictEqual(PercentEncoding.decode(text), expected))

  it.effect.prop("gives back what was encoded", [Schema.String], ([text]) =>
    Effect.sync(() => {
      const whole = text.replaceAll(/\p{Cs}/gu, "")
      assert.strictEqual(PercentEncoding.decode(encodeURIComponent(whole)), whole)
    }))
})
