/**
 * `search-r1 device install torch`: builds the addon against the PyTorch of this machine, into the user's cache.
 *
 * @since 0.1.0
 */
// The processor's model and Node's own path are not in Effect's modules.
// @effect-diagnostics nodeBuiltinImport:off
import { Config, Effect, FileSystem, Option, Path } from "effect"
import { createHash } from "node:crypto"
import { createRequire } from "node:module"
import { availableParallelism, cpus } from "node:os"
import * as Directories from "../../../directories.ts"
import * as SystemReason from "../../../systemReason.ts"
import { command, tail } from "../../command.ts"
import { installDirectory, readInstallation, TorchInstallation, writeInstallation } from "../installation.ts"
import { findCuda, findPyTorch, type PyTorch } from "./pytorch.ts"
import { TorchInstallError } from "./TorchInstallError.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface TorchInstallOptions {
  /** Build anew what is there already. */
  readonly force: boolean
  /** Build for NVIDIA cards even where PyTorch sees none now. */
  readonly gpu: boolean
  /** The Python whose PyTorch is used. */
  readonly python?: string | undefined
  /** A directory with `include` and `lib` of PyTorch: `libtorch`, or `site-packages/torch`. */
  readonly from?: string | undefined
  readonly report: (line: string) => Effect.Effect<void>
}

const flags = [
  "-O3",
  "-march=native",
  "-std=c++20",
  "-fPIC",
  "-Wall",
  "-Wextra",
  "-fno-math-errno",
  "-fno-trapping-math",
  "-fvisibility=hidden",
  "-DNAPI_VERSION=8"
]

/**
 * Our operators share out their work as PyTorch does, on its own OpenMP, whose functions are found when the addon is
 * loaded. It is GCC's; what clang would call is another library's, so that there they stay on one thread.
 *
 * GCC follows the ends of an exponential's range into what comes behind and divides there by a constant, for all lanes of a
 * vector: numbers near 0 take ten times as long as others. Without threading of jumps it does not.
 */
const flagsOf = (compiler: string): ReadonlyArray<string> =>
  /clang/i.test(compiler) ? ["-fopenmp-simd"] : ["-fopenmp", "-fno-thread-jumps"]

const writable = (directory: string) => (cause: unknown) =>
  new TorchInstallError({
    lacks: "writable",
    reason: `${directory} cannot be written: ${SystemReason.of(cause)}`,
    mend: "Free some space, or set SEARCH_R1_CACHE to another directory"
  })

const findCompiler = Effect.gen(function*() {
  const chosen = yield* Config.option(Config.String("CXX")).pipe(Effect.orElseSucceed(() => Option.none<string>()))
  const names = Option.match(chosen, { onNone: () => ["g++", "c++", "clang++"], onSome: (name) => [name] })
  for (const name of names) {
    const { code, output } = yield* command(name, ["--version"])
    if (code === 0) return { name, version: output.split("\n")[0] ?? "" }
  }
  return yield* new TorchInstallError({
    lacks: "compiler",
    reason: `there is no C++ compiler (${names.join(", ")})`,
    mend: "Install one (apt install g++), or name it with CXX"
  })
})

const nodeHeaders = Effect.gen(function*() {
  const path = yield* Path.Path
  const file = yield* Effect.try({
    try: () => createRequire(import.meta.url).resolve("node-api-headers/package.json"),
    catch: () =>
      new TorchInstallError({
        lacks: "headers",
        reason: "the package node-api-headers is not installed",
        mend: "Install this package's dependencies again (npm install)"
      })
  })
  return path.join(path.dirname(file), "include")
})

/** What decides whether a built addon still fits. */
const keyOf = Effect.fnUntraced(function*(
  torch: PyTorch,
  sources: string,
  files: ReadonlyArray<string>,
  rest: ReadonlyArray<string>
) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const hash = createHash("sha256")
  for (const part of [torch.directory, torch.version, ...rest]) hash.update(`${part}\0`)
  for (const file of files) hash.update(yield* fs.readFileString(path.join(sources, file)))
  return hash.digest("hex").slice(0, 12)
})

/** Compiles and links in a directory beside the final one, so that a build cut short leaves nothing that looks whole. */
const build = Effect.fnUntraced(function*(
  plan: {
    readonly compiler: string
    readonly compile: ReadonlyArray<string>
    readonly link: ReadonlyArray<string>
    readonly sources: string
    readonly files: ReadonlyArray<string>
    readonly addon: string
  },
  report: (line: string) => Effect.Effect<void>
) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const directory = yield* fs.makeTempDirectoryScoped({ directory: path.dirname(plan.addon), prefix: "build-" })
  const run = Effect.fnUntraced(function*(args: ReadonlyArray<string>, what: string) {
    const { code, output } = yield* command(plan.compiler, args, { cwd: directory })
    if (code === 0) return
    yield* report(output.trim())
    return yield* new TorchInstallError({
      lacks: "build",
      reason: `${what} failed:\n  ${tail(output)}\n`,
      mend: "Does the compiler understand C++20 (g++ 11, clang++ 14 or later)? Name another one with CXX"
    })
  })
  const units = plan.files.filter((file) => file.endsWith(".cc"))
  let done = 0
  yield* Effect.forEach(
    units,
    (file) =>
      run([...plan.compile, "-c", path.join(plan.sources, file), "-o", `${file}.o`], `compiling ${file}`).pipe(
        Effect.andThen(Effect.suspend(() => report(`compiled ${file} (${++done} of ${units.length})`)))
      ),
    { concurrency: Math.min(8, availableParallelism()), discard: true }
  )
  yield* run(["-shared", "-o", "torch.node", ...units.map((file) => `${file}.o`), ...plan.link], "linking")
  yield* fs.rename(path.join(directory, "torch.node"), plan.addon)
}, Effect.scoped)

const tryOut = Effect.fnUntraced(function*(addon: string) {
  const script = "const t = require(process.argv[1]); t.release(t.fromData(new Float32Array(4), [2, 2]))"
  const { code, output } = yield* command(process.execPath, ["-e", script, addon])
  if (code === 0) return
  return yield* new TorchInstallError({
    lacks: "load",
    reason: `the addon was built but cannot be loaded:\n  ${tail(output)}\n`,
    mend: "Is this PyTorch complete? Install it again, or name another one"
  })
})

/**
 * Builds the addon where it is not built for this PyTorch yet, and makes it the one that devices use.
 *
 * @category operations
 * @since 0.1.0
 */
export const install = Effect.fn("DeviceTorch.install")(function*(options: TorchInstallOptions) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  if (process.platform !== "linux") {
    return yield* new TorchInstallError({
      lacks: "platform",
      reason: `the addon is built on Linux only, this is ${process.platform}`,
      mend: "Use another device (search-r1 device list)"
    })
  }
  const torch = yield* findPyTorch(options)
  yield* options.report(`PyTorch ${torch.version} in ${torch.directory}`)
  if (options.gpu && torch.cuda === null) {
    return yield* new TorchInstallError({
      lacks: "cuda",
      reason: "this PyTorch was built without CUDA",
      mend: "Install one with CUDA (pip install torch)"
    })
  }
  const withCuda = torch.cuda !== null && (options.gpu || torch.usable)
  const cuda = withCuda ? yield* findCuda(torch) : undefined
  const compiler = yield* findCompiler
  const sources = path.resolve(import.meta.dirname, "../../../../../native/torch")
  const files = (yield* Effect.orElseSucceed(fs.readDirectory(sources), (): Array<string> => []))
    .filter((file) => /\.(cc|h)$/.test(file)).toSorted()
  if (files.length === 0) {
    return yield* new TorchInstallError({
      lacks: "headers",
      reason: `the addon's sources are not in ${sources}`,
      mend: "Install this package again"
    })
  }
  const includes = [path.join(torch.directory, "include"), path.join(torch.directory, "include/torch/csrc/api/include")]
  const compile = [
    ...flags,
    ...flagsOf(compiler.version),
    ...(cuda === undefined ? [] : ["-DSEARCH_R1_CUDA"]),
    ...[yield* nodeHeaders, ...includes, ...(cuda?.include ?? [])].flatMap((directory) => ["-isystem", directory])
  ]
  const lib = path.join(torch.directory, "lib")
  const library = path.join(lib, "libtorch_cpu.so")
  const link = [
    `-L${lib}`,
    "-Wl,--no-as-needed",
    "-ltorch",
    "-ltorch_cpu",
    "-lc10",
    ...(cuda === undefined ? [] : ["-ltorch_cuda", "-lc10_cuda", ...cuda.libraries]),
    ...[lib, ...(cuda?.libraries ?? []).map((file) => path.dirname(file))].map((directory) => `-Wl,-rpath,${directory}`)
  ]
  const size = yield* fs.stat(library).pipe(
    Effect.mapError(() =>
      new TorchInstallError({
        lacks: "torch",
        reason: `${library} is not there`,
        mend: "Install PyTorch again, or name another one with --python or --from"
      })
    )
  )
  const fingerprint = `${size.size}`
  const machine = [fingerprint, compiler.version, cpus()[0]?.model ?? "", ...compile, ...link]
  const key = yield* keyOf(torch, sources, files, machine).pipe(Effect.mapError(writable(sources)))
  const directory = path.join(yield* installDirectory, `${torch.version}-${withCuda ? "cuda" : "cpu"}-${key}`)
  const addon = path.join(directory, "torch.node")
  const installation = new TorchInstallation({
    addon,
    torch: torch.version,
    cuda: withCuda ? torch.cuda : null,
    library,
    fingerprint
  })
  const flavour = withCuda ? `with CUDA ${torch.cuda}` : "for the processor"
  const there = !options.force && (yield* Effect.orElseSucceed(fs.exists(addon), () => false))
  if (!there) {
    yield* Effect.mapError(Directories.make(directory), writable(directory))
    yield* options.report(`building the addon ${flavour} with ${compiler.version}, a minute or so`)
    yield* build({ compiler: compiler.name, compile, link, sources, files, addon }, options.report).pipe(
      Effect.catchTag("PlatformError", (cause) => Effect.fail(writable(directory)(cause)))
    )
  }
  yield* tryOut(addon)
  const previous = yield* readInstallation
  yield* Effect.mapError(writeInstallation(installation), writable(directory))
  const unchanged = there && previous?.addon === addon
  return {
    directory,
    summary: `${unchanged ? "is installed already" : "is installed"}, ${flavour}, on PyTorch ${torch.version}`
  }
})
