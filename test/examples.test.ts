import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { execFile } from "node:child_process"
import { promisify } from "node:util"

const root = new URL("..", import.meta.url).pathname

const output = (...args: ReadonlyArray<string>) =>
  Effect.map(
    Effect.promise(() => promisify(execFile)(process.execPath, [...args], { cwd: root })),
    ({ stdout }) => stdout
  )

it.live("the example of training trains", () =>
  Effect.gen(function*() {
    const lines = (yield* output("examples/train.ts", "2")).trim().split("\n")
    assert.strictEqual(lines.length, 2)
    assert.match(lines[0] ?? "", /^step 1 of 2: reward 0\.\d\d, searches \d\.\d, [\d.]+ s$/)
    // the base finds something when it searches this engine
    assert.isAbove(Number(/reward ([\d.]+)/.exec(lines[1] ?? "")?.[1]), 0.05)
  }), 60_000)

it.effect("the README shows the example of rollouts as it is", () =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const example = (yield* fs.readFileString(`${root}/examples/embed.ts`))
      .replace(/^\/\*\*.*?\*\/\n/s, "")
      .replace("\"../src/index.ts\"", "\"effect-search-r1\"")
    const readme = yield* fs.readFileString(`${root}/README.md`)
    assert.include(readme, example)
  }).pipe(Effect.provide(NodeServices.layer)))
