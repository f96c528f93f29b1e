/**
 * Percent-encoding in addresses that users write.
 *
 * @since 0.2.0
 */
import { Result } from "effect"

/**
 * The text that a part of an address stands for. A `%` that encodes nothing, as in a password, is one.
 *
 * @category decoding
 * @since 0.2.0
 */
export const decode = (text: string): string =>
  text.replaceAll(
    /(?:%[0-9a-f]{2})+/gi,
    (encoded) => Result.getOrElse(Result.try(() => decodeURIComponent(encoded)), () => encoded)
  )
