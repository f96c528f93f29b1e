// @effect-diagnostics nodeBuiltinImport:off
import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { shellPath, shellWord } from "../../src/domain/ShellWord.ts"

/** What a POSIX shell makes of a command's words. */
const wordsOf = (text: string): ReadonlyArray<string> =>
  execFileSync("sh", ["-c", `printf '%s\\0' ${text}`], { encoding: "utf8" }).split("\0").slice(0, -1)

describe("words for a shell", () => {
  it("are left alone where nothing in them means something to a shell", () => {
    for (const word of ["runs/20260101-120000-grpo", "/a/b.jsonl", "lr=1e-4", "http://h:80/x", "Größe/日本"]) {
      assert.strictEqual(shellWord(word), word)
    }
  })

  it("come back to the letter from a shell, whatever is in them", () => {
    const words = [
      "",
      "a b",
      "it's",
      "\"q\"",
      "$HOME",
      "`id`",
      "$(id)",
      "a;b",
      "*",
      "~",
      "#x",
      "!!",
      "a\\b",
      "-x",
      "=ls",
      "a\nb",
      // every printable character at the beginning, in the middle and at the end
      ...Array.from({ length: 95 }, (_, code) => String.fromCharCode(32 + code)).flatMap((
        sign
      ) => [sign, `${sign}a`, `a${sign}b`, `a${sign}`])
    ]
    assert.deepStrictEqual(wordsOf(words.map(shellWord).join(" ")), words)
  })

  it("are no flags where they are paths", () => {
    assert.strictEqual(shellPath("-x"), "./-x")
    assert.strictEqual(shellPath("- a"), "'./- a'")
    assert.strictEqual(shellPath("runs/-x"), "runs/-x")
  })
})
