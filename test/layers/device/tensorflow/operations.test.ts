/** Operations of our own: compiled into an installation under a name that tells what they were compiled from. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Path } from "effect"
import * as Addons from "../../../../src/layers/device/tensorflow/addons.ts"
import { buildOperations } from "../../../../src/layers/device/tensorflow/install/build.ts"
import * as Operations from "../../../../src/layers/device/tensorflow/operations.ts"

/** Builds with a program in the compiler's place. */
const build = Effect.fnUntraced(function*(script: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const directory = yield* fs.makeTempDirectoryScoped()
  const compiler = path.join(directory, "compiler")
  yield* fs.writeFileString(compiler, `#!/bin/sh\n${script}\n`)
  yield* fs.chmod(compiler, 0o755)
  const lines: Array<string> = []
  const built = yield* buildOperations({
    compiler,
    directory,
    headers: "/headers",
    library: "/library",
    runPath: "$ORIGIN/libtensorflow",
    platform: "linux",
    report: (line) => Effect.sync(() => void lines.push(line))
  })
  const files = (yield* fs.readDirectory(directory)).filter((name) => name !== "compiler")
  return { built, directory, files, lines }
})

describe("operations of our own", () => {
  it.effect("lie in the installation under the name of what they are made of", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      // Writes its arguments to the file that follows -o.
      const { built, directory, files } = yield* build(
        "all=\"$*\"; while [ \"$1\" != -o ]; do shift; done; echo \"$all\" > \"$2\""
      )
      assert.isTrue(built)
      assert.deepStrictEqual(files, [yield* Addons.fileName(Operations.addon)])
      const call = yield* fs.readFileString(path.join(directory, files[0]!))
      for (
        const part of [...Operations.addon.flags, "-I/headers", "-I/library/include", "native/tensorflow/operations.cc"]
      ) {
        assert.include(call, part)
      }
      assert.include(call, "-Wl,-rpath,$ORIGIN/libtensorflow")
      // That file is no addon: the device then goes without.
      assert.isFalse(yield* Operations.load(directory))
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("are done without where they cannot be compiled, and the reason is told", () =>
    Effect.gen(function*() {
      const { built, files, lines } = yield* build("echo 'error: no such instruction' >&2; exit 1")
      assert.isFalse(built)
      assert.deepStrictEqual(files, [])
      assert.match(lines.join("\n"), /cannot be compiled here, so the device is slower[^]*no such instruction/)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("of other sources are not loaded", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const directory = yield* fs.makeTempDirectoryScoped()
      yield* fs.writeFileString(path.join(directory, "operations-000000000000.node"), "")
      assert.isFalse(yield* Operations.load(directory))
      assert.match(yield* Addons.fileName(Operations.addon), /^operations-[0-9a-f]{12}\.node$/)
    }).pipe(Effect.provide(NodeServices.layer)))
})
