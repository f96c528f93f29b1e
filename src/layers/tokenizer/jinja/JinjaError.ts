/**
 * What goes wrong while a template is read or rendered.
 *
 * @since 0.2.0
 */
import { Data } from "effect"

/**
 * Thrown within this folder and caught at its edge, `Template.ts`: an interpreter's every step can fail.
 *
 * @category errors
 * @since 0.2.0
 */
export class JinjaError extends Data.TaggedError("JinjaError")<{ readonly message: string }> {}

/**
 * @category constructors
 * @since 0.2.0
 */
export const fail = (message: string): never => {
  throw new JinjaError({ message })
}

/**
 * What Jinja knows and this does not.
 *
 * @category constructors
 * @since 0.2.0
 */
export const unsupported = (what: string): never => fail(`${what} is not supported`)
