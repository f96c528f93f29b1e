/**
 * Python's notion of white space, which the reference's string functions use and JavaScript does not share:
 * `str.strip` and `str.split` know U+001C–U+001F and U+0085 and do not know U+FEFF (spec Appendix C).
 *
 * @since 0.1.0
 */

/**
 * Character class (for use inside `[…]`) of what `str.isspace` accepts.
 *
 * @category constants
 * @since 0.1.0
 */
export const whitespaceClass =
  "\\u0009-\\u000d\\u001c-\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"

const isSpace = (code: number): boolean =>
  (code >= 0x09 && code <= 0x0d) || (code >= 0x1c && code <= 0x20) || code === 0x85 || code === 0xa0 ||
  code === 0x1680 || (code >= 0x2000 && code <= 0x200a) || code === 0x2028 || code === 0x2029 || code === 0x202f ||
  code === 0x205f || code === 0x3000

/**
 * Python's `str.strip()`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const strip = (text: string): string => {
  let start = 0
  let end = text.length
  while (start < end && isSpace(text.charCodeAt(start))) start++
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--
  return start === 0 && end === text.length ? text : text.slice(start, end)
}

/**
 * Python's `str.split()`: the words between runs of white space.
 *
 * @category combinators
 * @since 0.1.0
 */
export const split = (text: string): ReadonlyArray<string> => {
  const words: Array<string> = []
  let start = -1
  for (let i = 0; i < text.length; i++) {
    if (isSpace(text.charCodeAt(i))) {
      if (start !== -1) words.push(text.slice(start, i))
      start = -1
    } else if (start === -1) start = i
  }
  if (start !== -1) words.push(text.slice(start))
  return words
}
