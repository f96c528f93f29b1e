/**
 * Where devices keep what they download and build.
 *
 * @since 0.1.0
 */
import { Config, Effect, Option, Path } from "effect"

const directory = Config.all({
  own: Config.option(Config.String("SEARCH_R1_CACHE")),
  xdg: Config.option(Config.String("XDG_CACHE_HOME")),
  local: Config.option(Config.String("LOCALAPPDATA")),
  home: Config.option(Config.String("HOME")),
  profile: Config.option(Config.String("USERPROFILE"))
})

/**
 * The user's cache directory of this package: `SEARCH_R1_CACHE` where it is set, otherwise the platform's usual place.
 *
 * @category getters
 * @since 0.1.0
 */
export const cacheDirectory = Effect.gen(function*() {
  const path = yield* Path.Path
  const { home, local, own, profile, xdg } = yield* Effect.orDie(directory)
  if (Option.isSome(own)) return path.resolve(own.value)
  const base = Option.firstSomeOf([
    xdg,
    local,
    Option.map(Option.firstSomeOf([home, profile]), (user) => path.join(user, ".cache"))
  ])
  return path.join(Option.getOrElse(base, () => "."), "effect-search-r1")
})
