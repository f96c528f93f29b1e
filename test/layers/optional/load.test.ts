import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, FileSystem } from "effect"
import { installDirectory, locate } from "../../../src/layers/optional/load.ts"
import { lance, type OptionalPackage } from "../../../src/layers/optional/packages.ts"

const wanted: OptionalPackage = {
  key: "example",
  name: "@example/none",
  version: "1.2.3",
  purpose: "nothing",
  megabytes: 1,
  requirements: ["@example/other@4.5.6"]
}

describe("optional packages", () => {
  it.live("are found in the user's cache, and otherwise asked for with both ways to get them", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const cache = yield* fs.makeTempDirectoryScoped()
      const settings = ConfigProvider.layer(ConfigProvider.fromUnknown({ SEARCH_R1_CACHE: cache }))
      const error = yield* Effect.flip(locate(wanted)).pipe(Effect.provide(settings))
      assert.strictEqual(
        error.message,
        "@example/none: it is not installed. Run \"search-r1 index install example\", or add it to your project: " +
          "npm install @example/none@1.2.3 @example/other@4.5.6"
      )
      const directory = `${yield* Effect.provide(installDirectory(wanted), settings)}/node_modules/@example/none`
      yield* fs.makeDirectory(directory, { recursive: true })
      yield* fs.writeFileString(`${directory}/index.js`, "module.exports = 1\n")
      const { file } = yield* locate(wanted).pipe(Effect.provide(settings))
      assert.strictEqual(yield* fs.realPath(file), yield* fs.realPath(`${directory}/index.js`))
    }).pipe(Effect.provide(NodeServices.layer)))

  it.each(
    [
      [{ name: "linux", architecture: "x64", libc: "gnu" }, "@lancedb/lancedb-linux-x64-gnu"],
      [{ name: "linux", architecture: "arm64", libc: "musl" }, "@lancedb/lancedb-linux-arm64-musl"],
      [{ name: "darwin", architecture: "arm64", libc: "gnu" }, "@lancedb/lancedb-darwin-arm64"],
      [{ name: "darwin", architecture: "x64", libc: "gnu" }, undefined],
      [{ name: "win32", architecture: "x64", libc: "gnu" }, "@lancedb/lancedb-win32-x64-msvc"],
      [{ name: "linux", architecture: "riscv64", libc: "gnu" }, undefined]
    ] as const
  )("LanceDB's native code for %o is in %s", (platform, native) => {
    assert.strictEqual(lance.native?.(platform), native)
  })
})
