/**
 * `search-r1 device install tensorflow`: puts `@tensorflow/tfjs-node` and a TensorFlow for it into the user's cache.
 *
 * @since 0.1.0
 */
// Free disk space and the C library are not in Effect's FileSystem.
// @effect-diagnostics nodeBuiltinImport:off
import * as tf from "@tensorflow/tfjs-core"
import { Effect, FileSystem, Path, Schema } from "effect"
import { HttpClient } from "effect/http"
import { statfs } from "node:fs/promises"
import * as Directories from "../../../directories.ts"
import * as SystemReason from "../../../systemReason.ts"
import { command, tail } from "../../command.ts"
import * as Addons from "../addons.ts"
import { installDirectory } from "../load.ts"
import * as Operations from "../operations.ts"
import * as Quiet from "../quiet.ts"
import { build, buildOperations, buildQuiet, findCompiler } from "./build.ts"
import { InstallError } from "./InstallError.ts"
import * as Library from "./library.ts"
import * as scripts from "./scripts.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface InstallOptions {
  /** Install anew what is there already. */
  readonly force: boolean
  /** For an NVIDIA card: the TensorFlow of this directory must be one with CUDA. */
  readonly gpu: boolean
  /** A directory with TensorFlow's libraries and headers, such as `site-packages/tensorflow`. */
  readonly from?: string | undefined
  readonly report: (line: string) => Effect.Effect<void>
}

const headersPackage = "node-api-headers@1.9.0"

/** The machine as the installation sees it. */
interface Machine {
  readonly platform: string
  readonly architecture: string
  readonly musl: boolean
}

const thisMachine: Effect.Effect<Machine> = Effect.sync(() => {
  const { arch: architecture, platform } = process
  const report: unknown = platform === "linux" ? process.report.getReport() : undefined
  const header = typeof report === "object" && report !== null && "header" in report ? report.header : undefined
  const glibc = typeof header === "object" && header !== null && "glibcVersionRuntime" in header
  return { platform, architecture, musl: platform === "linux" && !glibc }
})

/**
 * Why a machine cannot run TensorFlow's library, or the Python package that holds the one for it.
 *
 * @category getters
 * @since 0.1.0
 */
export const packageFor = (
  { architecture, musl, platform }: Machine
): Effect.Effect<string, InstallError> => {
  const refuse = (reason: string, mend: string) => Effect.fail(new InstallError({ lacks: "platform", reason, mend }))
  if (platform === "win32") {
    return refuse("its library comes for Linux and macOS only", "Use it under WSL 2, or another device (device list)")
  }
  if (musl) return refuse("its library needs glibc, this system has musl", "Use a glibc image, or another device")
  if (platform === "linux" && architecture === "x64") return Effect.succeed("tensorflow-cpu")
  if ((platform === "linux" || platform === "darwin") && architecture === "arm64") return Effect.succeed("tensorflow")
  return refuse(
    `its library does not come for ${platform} on ${architecture}`,
    "It comes for linux on x64 and arm64 and for macOS on arm64; use another device (device list)"
  )
}

/** A directory that cannot be written, with the system's word for why. */
const unwritable = (directory: string) => (cause: unknown): InstallError => {
  return new InstallError({
    lacks: "writable",
    reason: `${directory} cannot be written: ${SystemReason.of(cause)}`,
    mend: "Set SEARCH_R1_CACHE to another directory"
  })
}

const checkSpace = Effect.fnUntraced(function*(directory: string, bytes: number) {
  const { bavail, bsize } = yield* Effect.tryPromise({
    try: () => statfs(directory),
    catch: unwritable(directory)
  })
  const gigabytes = (n: number) => (n / 1e9).toFixed(1)
  if (bavail * bsize < bytes) {
    return yield* new InstallError({
      lacks: "disk",
      reason: `${directory} has ${gigabytes(bavail * bsize)} GB free, ${gigabytes(bytes)} GB are needed`,
      mend: "Free some space, or set SEARCH_R1_CACHE to a directory on another disk"
    })
  }
})

const npmInstall = Effect.fnUntraced(function*(directory: string, packageName: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  yield* fs.writeFileString(path.join(directory, "package.json"), "{\"private\": true}\n")
  const { code, found, output } = yield* command("npm", [
    "install",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
    `${packageName}@${tf.version_core}`,
    headersPackage
  ], { cwd: directory })
  if (!found) {
    return yield* new InstallError({
      lacks: "npm",
      reason: "npm is not on the PATH",
      mend: "Install Node with npm, and run the command again"
    })
  }
  if (code !== 0) {
    return yield* new InstallError({
      lacks: "packages",
      reason: `npm could not install ${packageName}@${tf.version_core}:\n  ${tail(output)}\n`,
      mend: "Check the network and npm's registry"
    })
  }
})

const Manifest = Schema.fromJsonString(Schema.Struct({ binary: Schema.Struct({ host: Schema.String }) }))

/** Whether the host that the package downloads its binding from answers. */
const reachable = Effect.fnUntraced(function*(packageDirectory: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const manifest = yield* fs.readFileString(path.join(packageDirectory, "package.json"))
  const { binary } = yield* Schema.decodeEffect(Manifest)(manifest)
  return yield* HttpClient.head(binary.host).pipe(Effect.timeout("5 seconds"), Effect.as(true))
}, Effect.orElseSucceed(() => false))

const smokeTest = (packageDirectory: string) =>
  command(process.execPath, ["-e", scripts.tryBackend, packageDirectory], { env: { TF_CPP_MIN_LOG_LEVEL: "2" } })

/** The package's own download of a ready binding: true where it runs here. */
const ownDownload = Effect.fnUntraced(
  function*(directory: string, packageName: string, report: InstallOptions["report"]) {
    const path = yield* Path.Path
    const packageDirectory = path.join(directory, "node_modules", packageName)
    if (!(yield* reachable(packageDirectory))) return false
    yield* report(`${packageName} downloads its own binding`)
    const { code } = yield* command("npm", ["rebuild", packageName], { cwd: directory })
    return code === 0 && (yield* smokeTest(packageDirectory)).code === 0
  },
  Effect.timeoutOrElse({ duration: "10 minutes", orElse: () => Effect.succeed(false) })
)

const buildAgainst = Effect.fnUntraced(function*(
  directory: string,
  packageName: string,
  machine: Machine,
  options: InstallOptions
) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const { from, report } = options
  const { platform } = machine
  if (from !== undefined && !(yield* Library.isLibrary(path.resolve(from), platform))) {
    return yield* new InstallError({
      lacks: "tensorflow",
      reason: `${from} does not hold ${Library.libraryNames(platform).join(", ")} and include/`,
      mend: "Name the directory of a TensorFlow 2 that pip installed, such as …/site-packages/tensorflow"
    })
  }
  const existing = from === undefined ? yield* Library.installed(platform) : path.resolve(from)
  if (existing === undefined && options.gpu) {
    return yield* new InstallError({
      lacks: "tensorflow",
      reason: "there is no TensorFlow with CUDA in this Python",
      mend: "Run \"pip install tensorflow[and-cuda]\", or name one with --from DIRECTORY"
    })
  }
  // Asked for before some 300 MB are downloaded in vain.
  const compiler = yield* findCompiler
  if (existing !== undefined) yield* report(`using the TensorFlow in ${existing}`)
  const library = existing ??
    (yield* Library.download({ package: yield* packageFor(machine), directory, platform, report }))
  // Later additions to the installation find the library where its own would be.
  if (existing !== undefined) yield* fs.symlink(existing, path.join(directory, "libtensorflow"))
  const origin = platform === "darwin" ? "@loader_path" : "$ORIGIN"
  const headers = path.join(directory, "node_modules", "node-api-headers", "include")
  yield* build({
    compiler,
    packageDirectory: path.join(directory, "node_modules", packageName),
    headers,
    library,
    runPath: existing ?? `${origin}/../../../../../libtensorflow`,
    platform,
    report
  })
  yield* buildQuiet({ compiler, directory, headers, platform })
  if (options.gpu) return
  yield* buildOperations({
    compiler,
    directory,
    headers,
    library,
    runPath: existing ?? `${origin}/libtensorflow`,
    platform,
    report
  })
})

/** Adds the addons of our own to an installation that lacks them, such as one of an earlier version. */
const addAddons = Effect.fnUntraced(function*(directory: string, { platform }: Machine, options: InstallOptions) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const lacks = (addon: Addons.AddonSource) =>
    Effect.flatMap(Addons.fileName(addon), (name) => Effect.map(fs.exists(path.join(directory, name)), (has) => !has))
  const library = path.join(directory, "libtensorflow")
  const headers = path.join(directory, "node_modules", "node-api-headers", "include")
  if (!(yield* Library.isLibrary(library, platform)) || !(yield* fs.exists(headers))) return
  const found = yield* Effect.option(findCompiler)
  if (found._tag === "None") return
  const compiler = found.value
  if (yield* lacks(Quiet.addon)) yield* buildQuiet({ compiler, directory, headers, platform })
  if (options.gpu || !(yield* lacks(Operations.addon))) return
  const runPath = `${platform === "darwin" ? "@loader_path" : "$ORIGIN"}/libtensorflow`
  yield* buildOperations({ compiler, directory, headers, library, runPath, platform, report: options.report })
})

/**
 * Installs the device and tries it. Nothing of an earlier installation is touched before the new one works.
 *
 * @category operations
 * @since 0.1.0
 */
export const install = Effect.fn("TensorFlow.install")(
  function*(options: InstallOptions) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const target = yield* installDirectory
    const packageName = options.gpu ? "@tensorflow/tfjs-node-gpu" : "@tensorflow/tfjs-node"
    const machine = yield* thisMachine
    if (options.from === undefined) yield* packageFor(machine)
    if (!options.force) {
      const { code, output } = yield* smokeTest(path.join(target, "node_modules", packageName))
      if (code === 0) {
        yield* addAddons(target, machine, options)
        yield* options.report(`already installed in ${target}; --force installs it anew`)
        return { directory: target, summary: tail(output, 1) }
      }
    }
    const parent = path.dirname(target)
    yield* Directories.make(parent).pipe(Effect.mapError(unwritable(parent)))
    yield* checkSpace(parent, options.from === undefined ? 2.5e9 : 0.6e9)
    const directory = yield* fs.makeTempDirectoryScoped({ directory: parent, prefix: "tensorflow-" }).pipe(
      Effect.mapError(unwritable(parent))
    )
    yield* options.report(`installing ${packageName}@${tf.version_core}`)
    yield* npmInstall(directory, packageName)
    const ready = options.from === undefined && (yield* ownDownload(directory, packageName, options.report))
    if (!ready) yield* buildAgainst(directory, packageName, machine, options)
    yield* options.report("trying it")
    const { code, output } = yield* smokeTest(path.join(directory, "node_modules", packageName))
    if (code !== 0) {
      return yield* new InstallError({
        lacks: "binding",
        reason: `the binding does not run here:\n  ${tail(output, 10)}\n`,
        mend: "If it says \"illegal instruction\", this processor lacks AVX; otherwise please report it"
      })
    }
    yield* fs.remove(target, { recursive: true, force: true })
    yield* fs.rename(directory, target)
    return { directory: target, summary: tail(output, 1) }
  },
  Effect.scoped,
  Effect.catchTag(
    "PlatformError",
    (error) =>
      new InstallError({
        lacks: "writable",
        reason: SystemReason.located(error),
        mend: "Set SEARCH_R1_CACHE to another directory"
      })
  )
)
