/**
 * Addresses of servers as a user writes them.
 *
 * @since 0.1.0
 */

/**
 * The address that a text is, of a server that speaks HTTP; undefined where it is none.
 *
 * @category parsing
 * @since 0.1.0
 */
export const httpUrl = (text: string): URL | undefined => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  return url !== undefined && /^https?:$/.test(url.protocol) ? url : undefined
}
