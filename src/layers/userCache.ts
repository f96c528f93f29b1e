/**
 * Where indexes and answers are kept between runs.
 *
 * @since 0.1.0
 */
import { Config, Effect, Path } from "effect"
import { homedir, platform } from "node:os"

const optional = (name: string) => Config.String(name).pipe(Config.withDefault(""), Effect.orElseSucceed(() => ""))

/**
 * The user's cache directory for this package: `SEARCH_R1_CACHE` when set, otherwise the platform's
 * (`$XDG_CACHE_HOME` or `~/.cache`, `~/Library/Caches`, `%LOCALAPPDATA%`). It may not exist yet.
 *
 * @category getters
 * @since 0.1.0
 */
export const directory: Effect.Effect<string, never, Path.Path> = Effect.gen(function*() {
  const { join } = yield* Path.Path
  const chosen = yield* optional("SEARCH_R1_CACHE")
  if (chosen !== "") return chosen
  const xdg = yield* optional("XDG_CACHE_HOME")
  if (xdg !== "") return join(xdg, "effect-search-r1")
  if (platform() === "darwin") return join(homedir(), "Library", "Caches", "effect-search-r1")
  const local = platform() === "win32" ? yield* optional("LOCALAPPDATA") : ""
  return local === "" ? join(homedir(), ".cache", "effect-search-r1") : join(local, "effect-search-r1", "Cache")
})
