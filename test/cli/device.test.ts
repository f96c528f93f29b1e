import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, FileSystem, Path, Schema } from "effect"
import { Command } from "effect/cli"
import { TestConsole } from "effect/testing"
import { device } from "../../src/cli/device.ts"
import { shippedModel } from "../../src/layers/assets.ts"
import { packageFor } from "../../src/layers/device/tensorflow/install/install.ts"

const run = (...args: ReadonlyArray<string>) => Command.runWith(device, { version: "0.0.0", renderErrors: false })(args)

const logs = Effect.map(TestConsole.logLines, (lines) => lines.join("\n"))

/** Programs that a machine has, as shell scripts, and nothing else on its PATH. */
const machineWith = Effect.fnUntraced(function*(programs: Readonly<Record<string, string>>) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const root = yield* fs.makeTempDirectoryScoped()
  const bin = path.join(root, "bin")
  yield* fs.makeDirectory(bin)
  for (const [program, script] of Object.entries(programs)) {
    const file = path.join(bin, program)
    yield* fs.writeFileString(file, `#!/bin/sh\n${script}\n`)
    yield* fs.chmod(file, 0o755)
  }
  const before = process.env["PATH"]
  yield* Effect.acquireRelease(
    Effect.sync(() => process.env["PATH"] = bin),
    () => Effect.sync(() => process.env["PATH"] = before)
  )
  return { root, own: ConfigProvider.layer(ConfigProvider.fromUnknown({ SEARCH_R1_CACHE: path.join(root, "cache") })) }
})

describe("search-r1 device", () => {
  it.effect("lists what works here, the default first", () =>
    Effect.gen(function*() {
      yield* run("list", "--json")
      const Listed = Schema.fromJsonString(
        Schema.Array(Schema.Struct({ name: Schema.String, available: Schema.Boolean }))
      )
      const listed = yield* Effect.flatMap(logs, Schema.decodeEffect(Listed))
      assert.deepStrictEqual(listed.map(({ name }) => name), ["wasm", "tensorflow", "torch", "cpu"])
      assert.isTrue(listed[3]!.available)
    }).pipe(Effect.provide([NodeServices.layer, TestConsole.layer])))

  it.effect("plans with the memory that it is given in GiB", () =>
    Effect.gen(function*() {
      const LimitBytes = Schema.fromJsonString(Schema.Struct({ limitBytes: Schema.Natural }))
      yield* run("plan", shippedModel, "--memory", "1.5", "--storage", "float32", "--json")
      const { limitBytes } = yield* Effect.flatMap(logs, Schema.decodeEffect(LimitBytes))
      // one and a half times 1024 * 1024 * 1024
      assert.strictEqual(limitBytes, 1_610_612_736)
      yield* run("plan", shippedModel, "--memory", "1.5", "--storage", "float32")
      assert.include(yield* logs, "The device has 1.50 GiB.")
    }).pipe(Effect.provide([NodeServices.layer, TestConsole.layer])))

  it.effect("plans what a search in a corpus takes of the machine", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const corpus = `${yield* fs.makeTempDirectoryScoped()}/corpus.jsonl`
      yield* fs.writeFileString(corpus, "{\"id\":\"1\",\"contents\":\"Tolm\\nAn island\"}\n".repeat(300))
      const flags = [shippedModel, "--memory", "1.5", "--storage", "float32", "--corpus", corpus]
      yield* run("plan", ...flags, "--json")
      const Planned = Schema.fromJsonString(Schema.Struct({
        search: Schema.Struct({ passages: Schema.Natural, resident: Schema.Finite, building: Schema.Finite })
      }))
      const { search } = yield* Effect.flatMap(logs, Schema.decodeEffect(Planned))
      assert.strictEqual(search.passages, 300)
      assert.isAbove(search.building, search.resident)
      yield* run("plan", ...flags, "--engine", "bm25")
      assert.match(
        yield* logs,
        /Beside it bm25 takes 0\.00\d GiB of the machine for 300 passages, and 0\.1\d\d GiB while/
      )
    }).pipe(Effect.provide([NodeServices.layer, TestConsole.layer])))

  it.effect("says why a device is missing and what to do about it", () =>
    Effect.gen(function*() {
      const { own } = yield* machineWith({})
      yield* run("list").pipe(Effect.provide(own))
      const text = yield* logs
      assert.match(
        text,
        /tensorflow .*\n +(available: float32|not available: neither .*\n +Run "search-r1 device install)/
      )
    }).pipe(Effect.provide([NodeServices.layer, TestConsole.layer])))

  for (
    const [machine, found] of [
      [{ platform: "linux", architecture: "x64", musl: false }, "tensorflow-cpu"],
      [{ platform: "darwin", architecture: "arm64", musl: false }, "tensorflow"],
      [{ platform: "win32", architecture: "x64", musl: false }, "WSL"],
      [{ platform: "linux", architecture: "riscv64", musl: false }, "riscv64"],
      [{ platform: "linux", architecture: "x64", musl: true }, "musl"]
    ] as const
  ) {
    it.effect(`knows what to install on ${machine.platform} ${machine.architecture}${machine.musl ? " musl" : ""}`, () =>
      Effect.gen(function*() {
        const result = yield* packageFor(machine).pipe(Effect.catch((error) => Effect.succeed(error.message)))
        assert.include(result, found)
      }))
  }

  const nothing = "exit 0"
  const old = "[ \"$1\" = --version ] || exit 1"
  for (
    const [what, programs, args, message] of [
      ["npm", {}, [], "npm is not on the PATH. Install Node with npm"],
      ["packages", { npm: "echo no network; exit 1" }, [], "npm could not install @tensorflow/tfjs-node"],
      ["a compiler", { npm: nothing, python3: old }, [], "there is no C++ compiler"],
      [
        "a compiler that works",
        { npm: nothing, "g++": old },
        ["--from", "library"],
        "g++ could not compile the binding"
      ],
      ["Python", { npm: nothing, "g++": nothing }, [], "there is no python3 on the PATH"],
      ["pip", { npm: nothing, "g++": nothing, python3: old }, [], "python3 has no pip. Install it"],
      ["a library", { npm: nothing }, ["--from", "."], " does not hold libtensorflow"],
      [
        "a library with CUDA",
        { npm: nothing, "g++": nothing },
        ["--gpu"],
        "there is no TensorFlow with CUDA in this Python"
      ]
    ] as const
  ) {
    it.effect.skipIf(process.platform !== "linux")(
      `device install says what is missing: ${what}`,
      () =>
        Effect.gen(function*() {
          const { own, root } = yield* machineWith(programs)
          const fs = yield* FileSystem.FileSystem
          for (
            const name of [
              "libtensorflow_cc.so.2",
              "libtensorflow_framework.so.2",
              "include/tensorflow/c/eager/c_api.h"
            ]
          ) {
            yield* fs.makeDirectory(`${root}/library/${name}`, { recursive: true })
          }
          const at = args.map((arg) => arg === "library" ? `${root}/library` : arg)
          const error = yield* Effect.flip(run("install", "tensorflow", ...at).pipe(Effect.provide(own)))
          assert.include(error.message, message)
          assert.deepStrictEqual(yield* fs.readDirectory(`${root}/cache`), [])
        }).pipe(Effect.scoped, Effect.provide([NodeServices.layer, TestConsole.layer]))
    )
  }

  it.effect.skipIf(process.platform !== "linux")(
    "device install says that its directory cannot be written",
    () =>
      Effect.gen(function*() {
        const { root } = yield* machineWith({})
        const fs = yield* FileSystem.FileSystem
        yield* fs.writeFileString(`${root}/file`, "")
        const own = ConfigProvider.layer(ConfigProvider.fromUnknown({ SEARCH_R1_CACHE: `${root}/file/cache` }))
        const error = yield* Effect.flip(run("install", "tensorflow").pipe(Effect.provide(own)))
        assert.include(
          error.message,
          `${root}/file/cache cannot be written: a part of this path is a file, where a directory is needed. Set SEARCH_R1_CACHE`
        )
      }).pipe(Effect.scoped, Effect.provide([NodeServices.layer, TestConsole.layer]))
  )
})
