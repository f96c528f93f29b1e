// @effect-diagnostics nodeBuiltinImport:off
/** Runs what docs/guides/your-own.md says, command by command, as it stands there. */
import { afterAll, assert, describe, it } from "@effect/vitest"
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { environment, run, scriptsOf } from "../support/shell.ts"

const root = new URL("../..", import.meta.url).pathname
const page = readFileSync(join(root, "docs", "guides", "your-own.md"), "utf8")

const work = mkdtempSync(join(tmpdir(), "search-r1-your-own-"))
const directory = join(work, "directory")

/** A directory in which the package is installed, and an npx that runs its sources. */
const env = (() => {
  mkdirSync(join(directory, "node_modules"), { recursive: true })
  symlinkSync(root, join(directory, "node_modules", "effect-search-r1"))
  const npx = join(work, "npx")
  writeFileSync(
    npx,
    `#!/bin/sh\n[ "$1" = search-r1 ] && shift && exec '${process.execPath}' '${root}src/cli.ts' "$@"\n`
  )
  chmodSync(npx, 0o755)
  const usual = environment({ SEARCH_R1_CACHE: join(work, "cache") })
  return { ...usual, PATH: [work, usual["PATH"] ?? ""].join(delimiter) }
})()

afterAll(() => rmSync(work, { recursive: true, force: true }))

const rewardOf = (file: string): number => {
  const rewards = readFileSync(join(directory, file), "utf8").trim().split("\n").map((line) => {
    const { scored }: { readonly scored?: { readonly reward: number } } = JSON.parse(line)
    return scored?.reward ?? 0
  })
  return rewards.reduce((sum, reward) => sum + reward, 0) / rewards.length
}

/** What the reader is promised of the output of a block, by a part of its text. */
const promised: ReadonlyArray<readonly [string, RegExp]> = [
  ["to-corpus.mjs", /1 {2}Karsholm.*\n.*Ilsa Thorne/],
  ["index build", /corpus\.idx: 200 passages[^]*1 {2}Nizel Works/],
  ["index bench", /gold/],
  ["before.jsonl", /valid actions [\d.]+ · answered [\d.]+/],
  ["sft warm", /warm/],
  ["--dry-run", /memory on /],
  ["--name mine", /Done\. [^]*mine +.*done/],
  ["search-r1 ask", /Answer: \w+/],
  ["runs export", /trained: the policy after \d+ steps?/]
]

describe("the guide to one's own corpus, questions and model", () => {
  it("works to the letter, and the policy is better for it", async () => {
    const scripts = scriptsOf(page)
    for (const [part] of promised) assert.isTrue(scripts.some((script) => script.includes(part)), part)
    for (const script of scripts) {
      // fewer attempts and steps than the reader's, to be quick
      const quick = script.replace("\"steps\": 10", "\"steps\": 1").replace("--limit 50", "--limit 12")
      const { code, stderr, stdout } = await run(`set -euo pipefail\n${quick}`, { cwd: directory, env })
      assert.strictEqual(code, 0, `${quick}\n${stdout}${stderr}`)
      assert.notMatch(stderr, /Warning|ERROR/, quick)
      for (const [part, pattern] of promised) if (script.includes(part)) assert.match(stdout, pattern, part)
    }
    assert.isAbove(rewardOf("after.jsonl"), rewardOf("before.jsonl"))
  }, 300_000)

  it("shows no command that is not run", () => {
    const fences = [...page.matchAll(/^```(\w*)$/gm)].map(([, language]) => language).filter((language) =>
      language !== ""
    )
    assert.deepStrictEqual([...new Set(fences)].sort(), ["json", "sh"])
  })
})
