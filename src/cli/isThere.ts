/**
 * Whether something is at a path.
 *
 * @since 0.2.0
 */
import { Effect, FileSystem } from "effect"
import type { CliError } from "effect/cli"
import * as SystemReason from "../layers/systemReason.ts"
import { userError } from "./userError.ts"

/**
 * Whether something is at a path. Where the system does not say, that is an error: a wrong no would replace what is there,
 * or remove it.
 *
 * @category guards
 * @since 0.2.0
 */
export const isThere = (path: string): Effect.Effect<boolean, CliError.UserError, FileSystem.FileSystem> =>
  FileSystem.FileSystem.pipe(
    Effect.flatMap((fs) => fs.exists(path)),
    Effect.catchIf(SystemReason.isAbsence, () => Effect.succeed(false)),
    Effect.mapError((error) => userError(`${path}: cannot be looked at: ${SystemReason.of(error)}`))
  )
