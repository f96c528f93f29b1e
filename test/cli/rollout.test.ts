import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Path, Schema } from "effect"
import { Command } from "effect/cli"
import { TestConsole } from "effect/testing"
import { demo } from "../../src/cli/demo.ts"
import { rollout } from "../../src/cli/rollout.ts"
import { RolloutLine } from "../../src/programs/rollout/Record.ts"

const run = (...args: ReadonlyArray<string>) =>
  Command.runWith(rollout, { version: "0.0.0", renderErrors: false })(args)

const logs = Effect.map(TestConsole.logLines, (lines) => lines.join("\n"))

const message = (...args: ReadonlyArray<string>) =>
  Effect.map(Effect.flip(run(...args)), (error) => error._tag === "UserError" ? error.userMessage ?? "" : error.message)

const assets = ["questions", "script", "corpus"].map((name) => `assets/demo/${name}.jsonl`)
const [questions = "", script = "", corpus = ""] = assets
const demoFlags = ["--questions", questions, "--script", script, "--corpus", corpus, "--cache", "off"]

const temporary = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped())

const records = Effect.fnUntraced(function*(path: string) {
  const text = yield* (yield* FileSystem.FileSystem).readFileString(path)
  return yield* Effect.forEach(text.trimEnd().split("\n"), (line) => Schema.decodeEffect(RolloutLine)(line))
})

describe("search-r1 rollout", () => {
  it.effect("writes every rollout, and replays what it wrote token by token", () =>
    Effect.gen(function*() {
      const path = yield* Path.Path
      const out = path.join(yield* temporary, "new", "rollouts.jsonl")
      yield* run(...demoFlags, "--group-size", "2", "--out", out, "--json")
      const written = yield* records(out)
      assert.strictEqual(written.length, 20)
      assert.isTrue(written.every((record) => record._tag === "Scored"))

      const again = path.join(yield* temporary, "again.jsonl")
      yield* run("--replay", out, "--strict", "--corpus", corpus, "--cache", "off", "--out", again, "--json")
      const replayed = yield* records(again)
      const withoutPolicy = (record: (typeof written)[number]) =>
        record._tag === "Scored" ? { _tag: record._tag, scored: record.scored } : record
      assert.deepStrictEqual(replayed.map(withoutPolicy), written.map(withoutPolicy))
      const policies = (lines: typeof written) =>
        lines.map((record) => record._tag === "Scored" ? record.policy : undefined)
      assert.deepStrictEqual(policies(written)[0], { kind: "script", place: script, model: null })
      assert.deepStrictEqual(policies(replayed)[19], { kind: "replay", place: out, model: null })

      const [first, second] = (yield* logs).split("\n")
      assert.strictEqual(first, second)
      const metrics = JSON.parse(first ?? "{}")
      assert.strictEqual(metrics["rollout/completed"], 20)
      assert.closeTo(metrics["reward/total/mean"], 0.8, 1e-12)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("asks for no engine where nothing is searched, but for passages up front", () =>
    Effect.gen(function*() {
      const policy = ["--questions", questions, "--script", script, "--no-search", "--limit", "2"]
      yield* run(...policy, "--json")
      assert.strictEqual(JSON.parse(yield* logs)["env/number_of_valid_search"], 0)
      assert.include(yield* message(...policy, "--template", "rag"), "What shall be searched?")
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("shows trajectories and a table, without colour where there is no terminal", () =>
    Effect.gen(function*() {
      yield* run(...demoFlags, "--limit", "3", "--show", "1")
      const text = yield* logs
      assert.include(text, "<search> Who founded Karsholm </search>")
      assert.include(text, "<information>Doc 1(Title: \"Karsholm\")")
      assert.include(text, "3 rollouts completed, 0 failed")
      assert.notInclude(text, "\u001B")
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("says what is wrong with its input", () =>
    Effect.gen(function*() {
      assert.include(
        yield* message(),
        "--questions FILE with one of --model DIR, --run DIR and --script FILE, or --replay FILE"
      )
      assert.include(yield* message(...demoFlags.with(1, "missing.jsonl")), "missing.jsonl: there is no such file")
      assert.include(yield* message(...demoFlags.with(3, corpus)), `${corpus} is a corpus, and a script`)
      assert.include(yield* message("--questions", questions, "--script", script), "--corpus FILE")
      assert.include(yield* message(...demoFlags, "--out", questions), "would overwrite")
      assert.include(
        yield* message(
          "--questions",
          questions,
          "--script",
          script,
          "--remote",
          "http://127.0.0.1:9",
          "--retries",
          "0"
        ),
        "No rollout completed: "
      )
    }).pipe(Effect.provide(NodeServices.layer)))
})

describe("search-r1 demo", () => {
  it.effect("runs from the files that ship with the package", () =>
    Effect.gen(function*() {
      yield* Command.runWith(demo, { version: "0.0.0" })([])
      const text = yield* logs
      assert.include(text, "20 rollouts completed, 0 failed")
      assert.include(text, "reward 0.800")
    }).pipe(Effect.provide(NodeServices.layer)))
})
