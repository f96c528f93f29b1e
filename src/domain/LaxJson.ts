/**
 * Values of JSON as pydantic's lax mode reads them, which is what servers and clients in Python are used to: numbers and
 * truths may be strings.
 *
 * @since 0.2.0
 */

/** Digits with single underscores between them, as Python writes large numbers. */
const wholeNumber = /^\s*([+-]?\d+(?:_\d+)*)(?:\.0+)?\s*$/
const decimalNumber = /^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?\s*$/i

/**
 * A whole number: `3`, `3.0`, `"3"`, `" +3 "`, `"3.0"`, `"1_000"`, `true` for 1. Undefined for anything else.
 *
 * @category decoding
 * @since 0.2.0
 */
export const integer = (value: unknown): number | undefined => {
  if (typeof value === "boolean") return value ? 1 : 0
  if (typeof value === "bigint") return Number(value)
  if (typeof value === "number") return Number.isInteger(value) ? value : undefined
  const digits = typeof value === "string" ? wholeNumber.exec(value)?.[1] : undefined
  // adding 0 makes 0 of -0
  return digits === undefined ? undefined : Number(digits.replaceAll("_", "")) + 0
}

const truths: ReadonlyMap<unknown, boolean> = new Map<unknown, boolean>([
  ...[true, 1, "1", "true", "t", "yes", "y", "on"].map((value) => [value, true] as const),
  ...[false, 0, "0", "false", "f", "no", "n", "off"].map((value) => [value, false] as const)
])

/**
 * A truth: `true`, `1`, `"1"`, `"true"`, `"t"`, `"yes"`, `"y"`, `"on"` and their opposites, in any case. Undefined for
 * anything else.
 *
 * @category decoding
 * @since 0.2.0
 */
export const boolean = (value: unknown): boolean | undefined =>
  truths.get(typeof value === "string" ? value.toLowerCase() : value)

/**
 * A finite number, or a string that is one in decimal notation. Undefined for anything else.
 *
 * @category decoding
 * @since 0.2.0
 */
export const finite = (value: unknown): number | undefined => {
  const number = typeof value === "bigint" || (typeof value === "string" && decimalNumber.test(value))
    ? Number(value)
    : value
  return typeof number === "number" && Number.isFinite(number) ? number : undefined
}
