/**
 * Weights that do not fit a configuration.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/**
 * A weight has another shape than the configuration asks for, or is not there at all (`found` is null).
 *
 * @category errors
 * @since 0.1.0
 */
export class ParameterMismatch extends Schema.TaggedError<ParameterMismatch>()("ParameterMismatch", {
  tensor: Schema.String,
  expected: Schema.Array(Schema.Int),
  found: Schema.NullOr(Schema.Array(Schema.Int))
}) {
  override get message() {
    const expected = `[${this.expected.join(", ")}]`
    return this.found === null
      ? `the tensor ${this.tensor} ${expected} is missing`
      : `the tensor ${this.tensor} has the shape [${this.found.join(", ")}], expected ${expected}`
  }
}
