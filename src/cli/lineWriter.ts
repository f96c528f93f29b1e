/**
 * Results as lines of a file.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, Path, type Scope } from "effect"
import type { CliError } from "effect/cli"
import { userError } from "./userError.ts"

/**
 * Opens `out` (and makes its directory) and gives what appends lines to it. `inputs` are files that it must not be.
 *
 * @category constructors
 * @since 0.1.0
 */
export const lineWriter = Effect.fnUntraced(function*(
  out: string,
  inputs: ReadonlyArray<string>
): Effect.fn.Return<
  (lines: ReadonlyArray<string>) => Effect.Effect<void, CliError.UserError>,
  CliError.UserError,
  FileSystem.FileSystem | Path.Path | Scope.Scope
> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  if (inputs.some((input) => input !== "-" && path.resolve(input) === path.resolve(out))) {
    return yield* userError(`${out}: --out would overwrite the file that is being read`)
  }
  const failed = (error: Error) => userError(`${out}: cannot be written (${error.message})`)
  const file = yield* fs.makeDirectory(path.dirname(path.resolve(out)), { recursive: true }).pipe(
    Effect.andThen(fs.open(out, { flag: "w" })),
    Effect.mapError(failed)
  )
  const encoder = new TextEncoder()
  return (lines) =>
    lines.length === 0
      ? Effect.void
      : Effect.mapError(file.writeAll(encoder.encode(`${lines.join("\n")}\n`)), failed)
})
