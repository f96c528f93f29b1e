/**
 * Where a model is, however it was written down.
 *
 * @since 0.1.0
 */
import { Effect, Path } from "effect"
import { homedir } from "node:os"

/**
 * The path of what a user calls a model: a `file:` address as a path, and `~` as the home directory where no shell has
 * put it there (`--set model=~/base`). Any other path is answered as it is.
 *
 * @category constructors
 * @since 0.1.0
 */
export const locate = Effect.fnUntraced(function*(written: string): Effect.fn.Return<string, never, Path.Path> {
  const { fromFileUrl, join } = yield* Path.Path
  if (/^file:\/\//iu.test(written) && URL.canParse(written)) {
    return yield* fromFileUrl(new URL(written)).pipe(Effect.orElseSucceed(() => written))
  }
  return /^~(?=$|[/\\])/u.test(written) ? join(homedir(), written.slice(1)) : written
})
