import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import * as ShellWords from "../../src/domain/ShellWords.ts"

describe("ShellWords.quote", () => {
  it("leaves plain words as they are", () => {
    assert.strictEqual(ShellWords.quote("./a/wiki-18.idx"), "./a/wiki-18.idx")
    assert.strictEqual(ShellWords.quote("hashing:96"), "hashing:96")
  })

  it.skipIf(process.platform === "win32")("gives back to a shell what it was given", () => {
    const words = [
      "",
      " ",
      "it's",
      "a b",
      "$HOME",
      "`x`",
      "\"",
      "\\",
      "http://h/v1#m",
      "x?dtype=q8&y=1",
      "*",
      "~",
      "é\n"
    ]
    const printed = execFileSync("/bin/sh", ["-c", `printf '%s\\0' ${words.map(ShellWords.quote).join(" ")}`])
    assert.deepStrictEqual(printed.toString("utf8").split("\0").slice(0, -1), words)
  })
})
