/**
 * TensorFlow's library speaks while it is loaded, before any level of its log can be set. Here it is loaded unheard.
 *
 * @since 0.2.0
 */
// A library reads the environment of the process, not a Config.
// @effect-diagnostics processEnvInEffect:off
import { Config, Console, Effect, Path } from "effect"
import * as Addons from "./addons.ts"
import { libraryNames } from "./install/library.ts"

/**
 * The addon that loads a library and gives back what it wrote to standard error.
 *
 * @category constants
 * @since 0.2.0
 */
export const addon: Addons.AddonSource = {
  name: "quiet",
  flags: ["-O2", "-std=c++17", "-shared", "-fPIC", "-DNAPI_VERSION=8"]
}

const level = "TF_CPP_MIN_LOG_LEVEL"

/** Lines of TensorFlow's log about itself: about its choice of instructions, and libraries that register twice. */
const aboutItself = [
  /^WARNING: All log messages before absl::InitializeLog/,
  /^[IWE]\d{4} \d\d:\d\d:\d+\.\d+ +\d+ \S+\] /,
  /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] /,
  /^To enable the following instructions/
]

/**
 * What of a library's first words is worth telling.
 *
 * @category conversions
 * @since 0.2.0
 */
export const worthTelling = (said: string): string =>
  said.split("\n").filter((line) => !aboutItself.some((pattern) => pattern.test(line))).join("\n").trim()

interface Quiet {
  readonly load: (file: string) => unknown
}

const isQuiet = (value: unknown): value is Quiet =>
  typeof value === "object" && value !== null && "load" in value && typeof value.load === "function"

/**
 * Lets TensorFlow tell errors alone, and loads the library of an installation, where there is one, before its binding asks
 * for it: what it says then is told where it is worth telling. Who has set `TF_CPP_MIN_LOG_LEVEL` hears what that lets
 * through.
 *
 * @category operations
 * @since 0.2.0
 */
export const hush = Effect.fnUntraced(function*(installation: string | undefined) {
  const path = yield* Path.Path
  const chosen = yield* Config.String(level).pipe(Config.withDefault(""), Effect.orElseSucceed(() => ""))
  if (chosen !== "") return
  // It is read from the environment of the process, once, when the library is loaded.
  process.env[level] = "2"
  if (installation === undefined) return
  const quiet = yield* Addons.load(addon, installation)
  if (!isQuiet(quiet)) return
  for (const name of libraryNames(process.platform).toReversed()) {
    const text = worthTelling(String(quiet.load(path.join(installation, "libtensorflow", name))))
    if (text !== "") yield* Console.error(text)
  }
})
