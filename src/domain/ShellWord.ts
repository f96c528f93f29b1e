/**
 * Words of commands that are printed to be copied.
 *
 * @since 0.2.0
 */

/**
 * A word as a POSIX shell takes it to the letter: quoted where it holds anything that a shell might take for something else.
 *
 * @category conversions
 * @since 0.2.0
 */
export const shellWord = (word: string): string =>
  /^[\p{L}\p{N}_./:@+,][\p{L}\p{N}_./:@%+,=-]*$/u.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`

/**
 * {@link shellWord} of a path: one that begins with a dash would be taken for a flag, however it is quoted.
 *
 * @category conversions
 * @since 0.2.0
 */
export const shellPath = (path: string): string => shellWord(path.startsWith("-") ? `./${path}` : path)
