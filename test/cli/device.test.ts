import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, FileSystem, Path, Schema } from "effect"
import { Command } from "effect/cli"
import { TestConsole } from "effect/testing"
import { device } from "../../src/cli/device.ts"
import { packageFor } from "../../src/layers/device/tensorflow/install/install.ts"

const run = (...args: ReadonlyArray<string>) => Command.runWith(device, { version: "0.0.0", renderErrors: false })(args)

const logs = Effect.map(TestConsole.logLines, (lines) => lines.join("\n"))

/** Everything that a fresh machine without Python, npm and compiler has. */
const bare = Effect.fnUntraced(function*(programs: ReadonlyArray<string>) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const root = yield* fs.makeTempDirectoryScoped()
  const bin = path.join(root, "bin")
  yield* fs.makeDirectory(bin)
  for (const program of programs) {
    const file = path.join(bin, program)
    yield* fs.writeFileString(file, "#!/bin/sh\nexit 1\n")
    yield* fs.chmod(file, 0o755)
  }
  return { root, bin }
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

  it.effect("says why a device is missing and what to do about it", () =>
    Effect.gen(function*() {
      const { root } = yield* bare([])
      const own = ConfigProvider.layer(ConfigProvider.fromUnknown({ SEARCH_R1_CACHE: root }))
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
})
