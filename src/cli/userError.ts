/**
 * Failures as the command line shows them: one sentence, no stack.
 *
 * @since 0.1.0
 */
import { PlatformError } from "effect"
import { CliError } from "effect/cli"
import * as SystemReason from "../layers/systemReason.ts"

/**
 * Turns a typed error into one whose message alone is printed; `hint` says how to mend it.
 *
 * @category errors
 * @since 0.1.0
 */
export const userError = (error: Error | string, hint?: string): CliError.UserError => {
  const message = typeof error === "string"
    ? error
    : error instanceof PlatformError.PlatformError
    ? SystemReason.located(error)
    : error.message
  return new CliError.UserError({
    cause: error,
    userMessage: hint === undefined ? message : `${message}\n${hint}`
  })
}
