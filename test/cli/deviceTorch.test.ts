import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, FileSystem, Path } from "effect"
import { install } from "../../src/layers/device/torch/install/install.ts"

const linux = process.platform === "linux"

const attempt = Effect.fnUntraced(function*(options: { readonly python?: string; readonly from?: string }) {
  const fs = yield* FileSystem.FileSystem
  const own = ConfigProvider.layer(ConfigProvider.fromUnknown({ SEARCH_R1_CACHE: yield* fs.makeTempDirectoryScoped() }))
  return yield* install({ force: false, gpu: false, report: () => Effect.void, ...options }).pipe(
    Effect.provide(own),
    Effect.flip
  )
})

/** A program that stands for a Python and answers the probe with `output`. */
const python = Effect.fnUntraced(function*(output: string, code: number) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const file = path.join(yield* fs.makeTempDirectoryScoped(), "python")
  yield* fs.writeFileString(file, `#!/bin/sh\ncat <<'END'\n${output}\nEND\nexit ${code}\n`)
  yield* fs.chmod(file, 0o755)
  return file
})

describe.skipIf(!linux)("search-r1 device install torch", () => {
  it.effect("says that there is no such Python", () =>
    Effect.gen(function*() {
      const error = yield* attempt({ python: "/no/such/python" })
      assert.match(error.message, /there is no \/no\/such\/python.*--python/)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("says that a Python has no PyTorch, and how to get it", () =>
    Effect.gen(function*() {
      const file = yield* python("ModuleNotFoundError: No module named 'torch'", 1)
      const error = yield* attempt({ python: file })
      assert.match(error.message, /has no PyTorch.*pip install torch/)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("refuses a PyTorch that is too old", () =>
    Effect.gen(function*() {
      const found = { directory: "/opt/torch", version: "2.3.1+cpu", cuda: null, usable: false }
      const error = yield* attempt({ python: yield* python(JSON.stringify(found), 0) })
      assert.match(error.message, /\/opt\/torch is 2\.3\.1\+cpu, 2\.8 or later is needed/)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("says that a directory holds no libtorch", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped()
      const error = yield* attempt({ from: directory })
      assert.include(error.message, `${directory} holds no libtorch`)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("says that a PyTorch is incomplete before it compiles anything", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped()
      const found = { directory, version: "2.9.0", cuda: null, usable: false }
      const error = yield* attempt({ python: yield* python(JSON.stringify(found), 0) })
      assert.match(error.message, /libtorch_cpu\.so is not there|no C\+\+ compiler/)
    }).pipe(Effect.provide(NodeServices.layer)))
})
