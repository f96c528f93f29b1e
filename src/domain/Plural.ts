/**
 * Numbers of things.
 *
 * @since 0.2.0
 */

/**
 * A number with its noun: `1 step`, `2 steps`, `10,000 steps`. `many` is the noun's plural where it takes more than an s.
 *
 * @category formatting
 * @since 0.2.0
 */
export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${count.toLocaleString("en-US")} ${count === 1 ? one : many}`
