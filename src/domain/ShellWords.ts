/**
 * Words of commands that people are told to type.
 *
 * @since 0.2.0
 */

/**
 * A word as a POSIX shell reads it: as it is, or between apostrophes where the shell would read something else.
 *
 * @category formatting
 * @since 0.2.0
 */
export const quote = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
