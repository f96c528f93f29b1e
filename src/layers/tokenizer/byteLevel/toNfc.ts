/** Text that is no ASCII; only such can be out of normal form. */
const beyondAscii = /[^\0-\x7f]/u

/**
 * Unicode's normal form C.
 *
 * @category conversions
 * @since 0.2.0
 */
export const toNfc = (text: string): string => beyondAscii.test(text) ? text.normalize("NFC") : text
