// @effect-diagnostics nodeBuiltinImport:off
/** Directories are made, or it is said why not: also where the system goes on saying that a directory is not there. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as AtomicFile from "../../src/layers/atomicFile.ts"
import * as Directories from "../../src/layers/directories.ts"
import * as SystemReason from "../../src/layers/systemReason.ts"

const reason = (path: string) =>
  Directories.make(path).pipe(
    Effect.as(""),
    Effect.catch((error) => Effect.succeed(SystemReason.located(error)))
  )

layer(NodeServices.layer)("making directories", (it) => {
  it.effect("makes those above as well, and finds what is there", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const root = yield* fs.makeTempDirectoryScoped()
      assert.strictEqual(yield* reason(`${root}/a/b/c`), "")
      assert.strictEqual(yield* reason(`${root}/a/b/c`), "")
      assert.strictEqual((yield* fs.stat(`${root}/a/b/c`)).type, "Directory")
      assert.strictEqual(yield* reason("/"), "")
      assert.strictEqual(yield* reason("."), "")
      // several that make one at once do not meet each other
      yield* Effect.forEach(Array.from({ length: 8 }), () => Directories.make(`${root}/x/y/z`), {
        concurrency: "unbounded"
      })
    }))

  it.effect("says what is in the way", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const root = yield* fs.makeTempDirectoryScoped()
      yield* fs.writeFileString(`${root}/file`, "")
      yield* fs.symlink(`${root}/gone`, `${root}/link`)
      assert.include(yield* reason(`${root}/file`), "there is something of this name already")
      assert.include(yield* reason(`${root}/file/a/b`), "a part of this path is a file")
      assert.include(yield* reason(`${root}/link/a`), root)
    }))

  it.effect.skipIf(!existsSync("/proc/self"))("ends in /proc and /sys", () =>
    Effect.gen(function*() {
      for (const path of ["/proc/x", "/proc/x/y/z", "/proc/self/x", "/sys/x/y"]) {
        const said = yield* Effect.timeout(reason(path), "2 seconds")
        assert.match(said, /^\/(proc|sys)\/.*: (the file system cannot do this|permission denied|.*read-only)/, path)
      }
      for (const path of ["/proc/x/y.json", "/sys/x/y.json"]) {
        const { message } = yield* Effect.flip(AtomicFile.writeString(path, ""))
        assert.match(
          message,
          /^\/(proc|sys)\/x\/y\.json: cannot be written: (no file can be made|permission|.*read-only)/
        )
      }
    }))
})

describe("the sources", () => {
  it("make directories by no other way than this", () => {
    const root = fileURLToPath(new URL("../../src", import.meta.url))
    const others = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) =>
      name.endsWith(".ts") && !name.endsWith("directories.ts") &&
      /(?:makeDirectory|mkdir|mkdirSync)\((?:[^()]|\([^()]*\))*recursive/.test(readFileSync(join(root, name), "utf8"))
    )
    assert.deepStrictEqual(others, [])
  })
})
