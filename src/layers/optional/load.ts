/**
 * Loads an optional package by its name: the application's own, or what `search-r1 index install` put into the user's
 * cache.
 *
 * @since 0.1.0
 */
// Modules are resolved as Node does.
// @effect-diagnostics nodeBuiltinImport:off
import { Effect, Option, Path } from "effect"
import { createRequire } from "node:module"
import * as UserCache from "../userCache.ts"
import type { OptionalPackage } from "./packages.ts"
import { PackageUnavailable } from "./PackageUnavailable.ts"

/**
 * Where `search-r1 index install` puts a package.
 *
 * @category getters
 * @since 0.1.0
 */
export const installDirectory = Effect.fnUntraced(function*(wanted: OptionalPackage) {
  const { join } = yield* Path.Path
  return join(yield* UserCache.directory, "packages", `${wanted.key}-${wanted.version}`)
})

/**
 * How to get a package.
 *
 * @category getters
 * @since 0.1.0
 */
export const mend = ({ key, name, requirements, version }: OptionalPackage): string =>
  `Run "search-r1 index install ${key}", or add it to your project: npm install ${
    [`${name}@${version}`, ...requirements].join(" ")
  }`

/**
 * The first directory from which the package is found, as something that requires from there.
 *
 * @category getters
 * @since 0.1.0
 */
export const locate = Effect.fnUntraced(function*(wanted: OptionalPackage) {
  const path = yield* Path.Path
  const cached = yield* installDirectory(wanted)
  const places = [import.meta.url, path.join(path.resolve("."), "package.json"), path.join(cached, "package.json")]
  for (const place of places) {
    const require = createRequire(place)
    const found = yield* Effect.option(Effect.try({ try: () => require.resolve(wanted.name), catch: String }))
    if (Option.isSome(found)) return { file: found.value, require }
  }
  return yield* new PackageUnavailable({ package: wanted.name, reason: "it is not installed", mend: mend(wanted) })
})
