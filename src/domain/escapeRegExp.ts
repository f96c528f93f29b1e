/**
 * Text as a regular expression that matches it to the letter, with or without the flag `u`.
 *
 * @category conversions
 * @since 0.2.0
 */
export const escapeRegExp = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, "\\$&")
