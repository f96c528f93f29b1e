/**
 * Results as lines of a file.
 *
 * @since 0.1.0
 */
import { Console, Effect, Exit, FileSystem, type Path } from "effect"
import type { CliError } from "effect/cli"
import * as AtomicFile from "../layers/atomicFile.ts"
import type { Claimed } from "./outputs.ts"
import { userError } from "./userError.ts"

/**
 * Appends lines.
 *
 * @category models
 * @since 0.2.0
 */
export type WriteLines = (lines: ReadonlyArray<string>) => Effect.Effect<void, CliError.UserError>

/**
 * @category models
 * @since 0.2.0
 */
export interface Options {
  /** What the lines are, in the plural, where they are worth keeping although the work ended early. */
  readonly precious?: string | undefined
}

const friendly = Effect.mapError((error: AtomicFile.FileUnwritable) => userError(error))

/** Moves unfinished lines to the first free name beside `out`. */
const keep = Effect.fnUntraced(function*(temporary: string, out: string, told: string) {
  const fs = yield* FileSystem.FileSystem
  for (let number = 1; number < 1000; number++) {
    const partial = `${out}.partial${number === 1 ? "" : `-${number}`}`
    if (yield* fs.exists(partial)) continue
    yield* fs.rename(temporary, partial)
    return yield* Console.error(`${partial} holds ${told}`)
  }
})

/**
 * Gives `use` what appends lines to `out`, whose directory is made; what is appended goes nowhere where there is no `out`.
 * The file is there, whole, when `use` has succeeded. Until then, and for good where it fails, what was there stays.
 *
 * @category combinators
 * @since 0.2.0
 */
export const withLines = <A, E, R>(
  out: Claimed | undefined,
  use: (write: WriteLines) => Effect.Effect<A, E, R>,
  options?: Options
): Effect.Effect<A, E | CliError.UserError, R | FileSystem.FileSystem | Path.Path> =>
  out === undefined ? use(() => Effect.void) : Effect.scoped(Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const { commit, flag, naming, temporary } = yield* friendly(AtomicFile.stage(out))
    const encoder = new TextEncoder()
    let written = 0
    const result = yield* Effect.scoped(Effect.gen(function*() {
      const file = yield* friendly(naming(fs.open(temporary, { flag })))
      return yield* use((lines) =>
        lines.length === 0
          ? Effect.void
          : file.writeAll(encoder.encode(`${lines.join("\n")}\n`)).pipe(
            naming,
            friendly,
            Effect.andThen(Effect.sync(() => void (written += lines.length)))
          )
      )
    })).pipe(
      Effect.onExit((exit) =>
        Exit.isFailure(exit) && options?.precious !== undefined && written > 0 && temporary !== out
          ? Effect.ignore(keep(temporary, out, `the ${written} ${options.precious} that were finished`))
          : Effect.void
      )
    )
    yield* friendly(commit)
    return result
  }))
