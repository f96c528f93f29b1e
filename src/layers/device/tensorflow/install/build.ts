/**
 * Compiling tfjs-node's binding.
 *
 * @since 0.1.0
 */
import { Config, Effect, FileSystem, Option, Path } from "effect"
import * as Directories from "../../../directories.ts"
import { command, tail } from "../../command.ts"
import * as Addons from "../addons.ts"
import * as Operations from "../operations.ts"
import * as Quiet from "../quiet.ts"
import { InstallError } from "./InstallError.ts"
import { libraryNames } from "./library.ts"

const compilers = Effect.map(
  Effect.orDie(Config.option(Config.String("CXX"))),
  (own) => [...Option.toArray(own), "g++", "clang++", "c++"]
)

/**
 * The first C++ compiler that runs.
 *
 * @category getters
 * @since 0.1.0
 */
export const findCompiler = Effect.gen(function*() {
  for (const compiler of yield* compilers) {
    const { code, found } = yield* command(compiler, ["--version"])
    if (found && code === 0) return compiler
  }
  return yield* new InstallError({
    lacks: "compiler",
    reason: "there is no C++ compiler (g++, clang++ or c++, or the one that CXX names)",
    mend: "Install one (for example \"apt install g++\", \"dnf install gcc-c++\" or \"xcode-select --install\")"
  })
})

const linking = (path: Path.Path, library: string, platform: string): ReadonlyArray<string> => {
  const names = libraryNames(platform)
  return platform === "darwin"
    ? ["-undefined", "dynamic_lookup", ...names.map((name) => path.join(library, name))]
    : [`-L${library}`, ...names.map((name) => `-l:${name}`)]
}

/** Compiles an addon into `directory`: the compiler's words where it cannot. */
const compileAddon = Effect.fnUntraced(function*(options: {
  readonly addon: Addons.AddonSource
  readonly compiler: string
  readonly directory: string
  readonly more: ReadonlyArray<string>
}) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const { addon, compiler, directory, more } = options
  const scratch = yield* fs.makeTempDirectoryScoped({ directory, prefix: `${addon.name}-` })
  const built = path.join(scratch, "built.node")
  const { code, output } = yield* command(compiler, [
    ...addon.flags,
    "-o",
    built,
    yield* Addons.sourceFile(addon),
    ...more
  ])
  if (code !== 0) return output
  yield* fs.rename(built, path.join(directory, yield* Addons.fileName(addon)))
  return undefined
}, Effect.scoped)

/**
 * Compiles into `directory` what lets TensorFlow's library be loaded unheard. The device works without it.
 *
 * @category operations
 * @since 0.2.0
 */
export const buildQuiet = Effect.fn("TensorFlow.buildQuiet")(function*(options: {
  readonly compiler: string
  readonly directory: string
  readonly headers: string
  readonly platform: string
}) {
  const { compiler, directory, headers, platform } = options
  const more = [`-I${headers}`, ...(platform === "darwin" ? ["-undefined", "dynamic_lookup"] : ["-ldl"])]
  return (yield* compileAddon({ addon: Quiet.addon, compiler, directory, more })) === undefined
})

/**
 * Compiles the operations of our own into `directory` against the TensorFlow in `library`. The device works without them,
 * so a compiler that cannot do it is reported and no error; false then.
 *
 * @category operations
 * @since 0.1.0
 */
export const buildOperations = Effect.fn("TensorFlow.buildOperations")(function*(options: {
  readonly compiler: string
  readonly directory: string
  readonly headers: string
  readonly library: string
  readonly runPath: string
  readonly platform: string
  readonly report: (line: string) => Effect.Effect<void>
}) {
  const path = yield* Path.Path
  const { compiler, directory, headers, library, platform, report, runPath } = options
  yield* report(`compiling operations for this processor with ${compiler}`)
  const output = yield* compileAddon({
    addon: Operations.addon,
    compiler,
    directory,
    more: [
      `-I${headers}`,
      `-I${path.join(library, "include")}`,
      ...linking(path, library, platform),
      `-Wl,-rpath,${runPath}`
    ]
  })
  if (output === undefined) return true
  yield* report(`they cannot be compiled here, so the device is slower than it could be:\n  ${tail(output, 6)}`)
  return false
})

/**
 * Compiles the binding in the package `packageDirectory` against the TensorFlow in `library`; `headers` are Node-API's.
 * `runPath` is where the binding looks for the library when it is loaded.
 *
 * @category operations
 * @since 0.1.0
 */
export const build = Effect.fn("TensorFlow.build")(function*(options: {
  readonly compiler: string
  readonly packageDirectory: string
  readonly headers: string
  readonly library: string
  readonly runPath: string
  readonly platform: string
  readonly report: (line: string) => Effect.Effect<void>
}) {
  const path = yield* Path.Path
  const { compiler, headers, library, packageDirectory, platform, report, runPath } = options
  yield* report(`compiling the binding with ${compiler}`)
  const output = path.join(packageDirectory, "lib", "napi-v8")
  yield* Directories.make(output)
  const { code, output: log } = yield* command(compiler, [
    "-O2",
    "-std=c++17",
    "-shared",
    "-fPIC",
    "-DNAPI_VERSION=8",
    "-o",
    path.join(output, "tfjs_binding.node"),
    path.join("binding", "tfjs_backend.cc"),
    path.join("binding", "tfjs_binding.cc"),
    "-I.",
    `-I${headers}`,
    `-I${path.join(library, "include")}`,
    ...linking(path, library, platform),
    `-Wl,-rpath,${runPath}`
  ], { cwd: packageDirectory })
  if (code !== 0) {
    return yield* new InstallError({
      lacks: "compiler",
      reason: `${compiler} could not compile the binding:\n  ${tail(log, 12)}\n`,
      mend: "It needs C++17 (g++ 9, clang 10 or later); CXX names another compiler"
    })
  }
})
