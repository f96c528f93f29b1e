/**
 * Byte pair encoding by ranks: of all neighbours whose union is a token, the union of the lowest rank is made first.
 *
 * @since 0.1.0
 */
import { type ByteString, toByteString } from "../IdBytes.ts"
import { mergePairs, noRank } from "../mergePairs.ts"

/** Pieces remembered with their ids, and the longest one that is, in UTF-16 units. */
const cacheLimit = 1 << 16
const cachedLength = 64

/** Only ASCII: such a text is its own byte string. */
const ascii = /^[\0-\x7f]*$/u

/**
 * Ids of pieces.
 *
 * @category models
 * @since 0.1.0
 */
export interface BytePairs {
  /** Calls `use` with the ids of a piece in order. */
  readonly encode: (piece: string, use: (id: number) => void) => void
}

/**
 * `ranks` holds the id of each token by its bytes; every single byte must be among them.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (ranks: ReadonlyMap<ByteString, number>): BytePairs => {
  const cache = new Map<string, ReadonlyArray<number>>()

  const merge = (bytes: ByteString): ReadonlyArray<number> => {
    const whole = ranks.get(bytes)
    if (whole !== undefined) return [whole]
    const rankOf = (start: number, end: number) => ranks.get(bytes.slice(start, end)) ?? noRank
    const starts = mergePairs(Array.from({ length: bytes.length + 1 }, (_, i) => i), rankOf)
    const ids: Array<number> = []
    for (let i = 0; i + 1 < starts.length; i++) ids.push(ranks.get(bytes.slice(starts[i], starts[i + 1]))!)
    return ids
  }

  return {
    encode: (piece, use) => {
      // Most words are one token, and an ASCII word is its own key.
      const whole = ranks.get(piece)
      if (whole !== undefined && ascii.test(piece)) return use(whole)
      const cached = cache.get(piece)
      const ids = cached ?? merge(ascii.test(piece) ? piece : toByteString(piece))
      if (cached === undefined && piece.length <= cachedLength) {
        if (cache.size >= cacheLimit) cache.clear()
        cache.set(piece, ids)
      }
      for (const id of ids) use(id)
    }
  }
}
