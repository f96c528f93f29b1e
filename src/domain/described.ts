/**
 * Descriptions of configuration keys: what editors and the reference of the configuration show.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/**
 * Describes a key of a struct.
 *
 * @category combinators
 * @since 0.1.0
 */
export const described = (description: string) => <S extends Schema.Top>(schema: S): S["Rebuild"] =>
  schema.pipe(Schema.annotateKey({ description }))
