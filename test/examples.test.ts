import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { type ChildProcessByStdio, execFile, spawn } from "node:child_process"
import type { Readable } from "node:stream"
import { promisify } from "node:util"

const root = new URL("..", import.meta.url).pathname

/** The examples import the package by its name, as an application does; in a clone that is its sources. */
const onSources = "--conditions=@effect-search-r1/source"

const output = (...args: ReadonlyArray<string>) =>
  Effect.map(
    Effect.promise(() => promisify(execFile)(process.execPath, [...args], { cwd: root })),
    ({ stdout }) => stdout
  )

it.live("the example of training trains", () =>
  Effect.gen(function*() {
    const lines = (yield* output(onSources, "examples/train.ts", "2")).trim().split("\n")
    assert.strictEqual(lines.length, 2)
    assert.match(lines[0] ?? "", /^step 1 of 2: reward 0\.\d\d, searches \d\.\d, [\d.]+ s$/)
    // the base finds something when it searches this engine
    assert.isAbove(Number(/reward ([\d.]+)/.exec(lines[1] ?? "")?.[1]), 0.05)
  }), 60_000)

/** What a process has said so far, and a way to wait for more. */
const listening = (process: ChildProcessByStdio<null, Readable, Readable>) => {
  let said = ""
  process.stdout.on("data", (bytes: Buffer) => {
    said += bytes.toString("utf8")
  })
  const heard = (pattern: RegExp): Effect.Effect<string> =>
    Effect.suspend(() => {
      const found = pattern.exec(said)
      return found === null
        ? Effect.andThen(Effect.sleep("20 millis"), heard(pattern))
        : Effect.succeed(found[1] ?? found[0])
    })
  return heard
}

it.live("the service trains for a client, and ends a run whose client hangs up", () =>
  Effect.gen(function*() {
    const service = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [onSources, "examples/service.ts"], {
          cwd: root,
          env: { ...process.env, PORT: "0" },
          stdio: ["ignore", "pipe", "pipe"]
        })
      ),
      (service) => Effect.sync(() => service.kill("SIGKILL"))
    )
    const heard = listening(service)
    const url = yield* heard(/Listening on (\S+)/)
    const hangUp = new AbortController()
    const response = yield* Effect.promise(() =>
      fetch(`${url}/train?steps=1000`, { method: "POST", signal: hangUp.signal })
    )
    const first = yield* Effect.promise(async () => (await response.body?.getReader().read())?.value)
    assert.deepStrictEqual(Object.keys(JSON.parse(new TextDecoder().decode(first))), ["step", "reward"])
    hangUp.abort()
    assert.strictEqual(yield* heard(/the run has ended/), "the run has ended")
  }), 60_000)

it.effect("the README shows the example of rollouts as it is", () =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const example = (yield* fs.readFileString(`${root}/examples/embed.ts`))
      .replace(/^\/\*\*.*?\*\/\n/s, "")
    const readme = yield* fs.readFileString(`${root}/README.md`)
    assert.include(readme, example)
  }).pipe(Effect.provide(NodeServices.layer)))
