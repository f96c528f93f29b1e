/**
 * Where the TensorFlow library and its headers come from.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, Path } from "effect"
import * as Directories from "../../../directories.ts"
import { command, tail } from "../../command.ts"
import { InstallError } from "./InstallError.ts"
import * as scripts from "./scripts.ts"

/**
 * The TensorFlow that the binding is built against where no other is named.
 *
 * @category constants
 * @since 0.1.0
 */
export const tensorFlowVersion = "2.21.0"

/**
 * Names of the libraries on this platform.
 *
 * @category getters
 * @since 0.1.0
 */
export const libraryNames = (platform: string): readonly [string, string] =>
  platform === "darwin"
    ? ["libtensorflow_cc.2.dylib", "libtensorflow_framework.2.dylib"]
    : ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"]

/** The first Python that runs. */
const findPython = Effect.gen(function*() {
  for (const python of ["python3", "python"]) {
    const { code, found } = yield* command(python, ["--version"])
    if (found && code === 0) return python
  }
  return yield* new InstallError({
    lacks: "python",
    reason: "there is no python3 on the PATH; TensorFlow's library is taken from its Python package",
    mend: "Install Python 3.9 or later with pip, or name an existing TensorFlow with --from DIRECTORY"
  })
})

/**
 * Checks that a directory holds TensorFlow's libraries and headers, as `site-packages/tensorflow` does.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isLibrary = Effect.fnUntraced(function*(directory: string, platform: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const wanted = [...libraryNames(platform), path.join("include", "tensorflow", "c", "eager", "c_api.h")]
  for (const name of wanted) {
    if (!(yield* fs.exists(path.join(directory, name)).pipe(Effect.orElseSucceed(() => false)))) return false
  }
  return true
})

/**
 * An installed TensorFlow that Python finds, if it has what is needed.
 *
 * @category getters
 * @since 0.1.0
 */
export const installed = Effect.fnUntraced(function*(platform: string) {
  const python = yield* Effect.option(findPython)
  if (python._tag === "None") return undefined
  const { code, output } = yield* command(python.value, ["-c", scripts.findTensorFlow])
  const directory = output.trim()
  return code === 0 && directory !== "" && (yield* isLibrary(directory, platform)) ? directory : undefined
})

/**
 * Downloads the Python package with pip, which checks its hash, and extracts the libraries and headers to `directory`,
 * each checked against the package's own record.
 *
 * @category operations
 * @since 0.1.0
 */
export const download = Effect.fn("TensorFlow.download")(function*(options: {
  readonly package: string
  readonly directory: string
  readonly platform: string
  readonly report: (line: string) => Effect.Effect<void>
}) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const python = yield* findPython
  const pip = yield* command(python, ["-m", "pip", "--version"])
  if (pip.code !== 0) {
    return yield* new InstallError({
      lacks: "pip",
      reason: `${python} has no pip`,
      mend:
        `Install it ("${python} -m ensurepip", or your system's python3-pip), or name an existing TensorFlow with ` +
        "--from DIRECTORY"
    })
  }
  const wheels = path.join(options.directory, "wheel")
  yield* Directories.make(wheels)
  const requirement = `${options.package}==${tensorFlowVersion}`
  const fetch = (...more: ReadonlyArray<string>) =>
    command(python, [
      "-m",
      "pip",
      "download",
      "--no-deps",
      "--only-binary=:all:",
      "--progress-bar=off",
      "--disable-pip-version-check",
      "--dest",
      wheels,
      ...more,
      requirement
    ])
  yield* options.report(`downloading ${requirement} (some 300 MB)`)
  // A Python that is too new for TensorFlow still fetches the wheel of another: only its libraries are used.
  const attempts = [[], ["--python-version", "3.12", "--implementation", "cp"]]
  let output = ""
  for (const attempt of attempts) {
    const result = yield* fetch(...attempt)
    output = result.output
    if (result.code === 0) break
  }
  const wheel = (yield* fs.readDirectory(wheels)).find((name) => name.endsWith(".whl"))
  if (wheel === undefined) {
    return yield* new InstallError({
      lacks: "tensorflow",
      reason: `pip could not download ${requirement}:\n  ${tail(output)}\n`,
      mend: "Check the network and pip's index, or name an existing TensorFlow with --from DIRECTORY"
    })
  }
  yield* options.report("extracting the libraries and checking their sums")
  const library = path.join(options.directory, "libtensorflow")
  const extracted = yield* command(python, ["-c", scripts.extractWheel, path.join(wheels, wheel), library])
  yield* fs.remove(wheels, { recursive: true })
  if (extracted.code !== 0) {
    return yield* new InstallError({
      lacks: extracted.output.includes("checksum") ? "checksum" : "tensorflow",
      reason: `${wheel} could not be extracted:\n  ${tail(extracted.output)}\n`,
      mend: "Run the command again; clear pip's cache (\"pip cache purge\") if that does not help"
    })
  }
  if (!(yield* isLibrary(library, options.platform))) {
    return yield* new InstallError({
      lacks: "tensorflow",
      reason: `${wheel} does not hold ${libraryNames(options.platform).join(" and ")}`,
      mend: "Name an existing TensorFlow with --from DIRECTORY"
    })
  }
  return library
})
