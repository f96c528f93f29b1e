/**
 * Puts an optional package into the user's cache.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, Path } from "effect"
import { command, tail } from "../device/command.ts"
import * as Directories from "../directories.ts"
import * as SystemReason from "../systemReason.ts"
import { installDirectory } from "./load.ts"
import type { OptionalPackage } from "./packages.ts"
import { PackageUnavailable } from "./PackageUnavailable.ts"
import * as Platform from "./platform.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface InstallOptions {
  /** Install anew what is there already. */
  readonly force?: boolean | undefined
  readonly report?: ((line: string) => Effect.Effect<void>) | undefined
}

const installScoped = Effect.fnUntraced(
  function*(wanted: OptionalPackage, options: InstallOptions | undefined) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const fail = (reason: string, mend: string) => new PackageUnavailable({ package: wanted.name, reason, mend })
    const target = yield* installDirectory(wanted)
    const present = yield* fs.exists(path.join(target, "node_modules", wanted.name, "package.json"))
    if (present && options?.force !== true) {
      yield* options?.report?.(`already installed in ${target}; --force installs it anew`) ?? Effect.void
      return target
    }
    const platform = yield* Platform.current
    const native = wanted.native?.(platform)
    if (wanted.native !== undefined && native === undefined) {
      return yield* fail(
        `it does not come for ${platform.name} on ${platform.architecture}`,
        "Use another engine, such as bm25"
      )
    }
    yield* Directories.make(path.dirname(target))
    const directory = yield* fs.makeTempDirectoryScoped({ directory: path.dirname(target), prefix: `${wanted.key}-` })
    yield* fs.writeFileString(path.join(directory, "package.json"), "{\"private\": true}\n")
    yield* options?.report?.(
      `installing ${wanted.name}@${wanted.version} (${wanted.megabytes} MB on disk) into ${target}`
    ) ?? Effect.void
    const outcome = yield* command("npm", [
      "install",
      // ONNX Runtime's script downloads CUDA's files wherever it sees a toolkit
      "--ignore-scripts",
      ...(native === undefined ? [] : ["--omit=optional"]),
      "--no-audit",
      "--no-fund",
      "--loglevel=error",
      `${wanted.name}@${wanted.version}`,
      ...wanted.requirements,
      ...(native === undefined ? [] : [`${native}@${wanted.version}`])
    ], { cwd: directory })
    if (!outcome.found) return yield* fail("npm is not on the PATH", "Install Node with npm, and run the command again")
    if (outcome.code !== 0) {
      return yield* fail(
        `npm could not install it:\n  ${tail(outcome.output)}\n`,
        "Check the network and npm's registry"
      )
    }
    yield* fs.remove(target, { recursive: true, force: true })
    yield* fs.rename(directory, target)
    return target
  }
)

/**
 * Installs a package with npm, without its install scripts, and gives the directory. Nothing of an earlier installation is
 * touched before the new one is whole.
 *
 * @category operations
 * @since 0.1.0
 */
export const install = Effect.fn("OptionalPackage.install")(
  (wanted: OptionalPackage, options?: InstallOptions) =>
    installScoped(wanted, options).pipe(
      Effect.scoped,
      Effect.catchTag(
        "PlatformError",
        (error) =>
          new PackageUnavailable({
            package: wanted.name,
            reason: SystemReason.located(error),
            mend: "Set SEARCH_R1_CACHE to a directory that can be written"
          })
      )
    )
)
