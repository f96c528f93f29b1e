/**
 * Byte pair encoding of pieces of text, with a memory for those met before.
 *
 * @since 0.1.0
 */
import { mergePairs, type RankOf } from "./mergePairs.ts"

/** Pieces remembered with their ids, and the longest one that is, in UTF-16 units. */
const cacheLimit = 1 << 16
const cachedLength = 64

/**
 * A vocabulary. Its tokens are spelled with one character for each byte.
 *
 * @category models
 * @since 0.1.0
 */
export interface BytePairsOptions {
  readonly spell: (text: string) => string
  /** Every single byte must be among them. */
  readonly ids: ReadonlyMap<string, number>
  /** The ranks of the unions of parts of a spelled piece. */
  readonly ranks: (piece: string) => RankOf
  /** Whether a piece that is a token is not merged. */
  readonly wholeFirst: boolean
  /** Ids that no text has, whatever is merged: their bytes stand in for them. */
  readonly never: ReadonlySet<number>
}

/**
 * Makes the function that hands the ids of a piece on in order.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: BytePairsOptions): (piece: string, use: (id: number) => void) => void => {
  const { ids, never, ranks, spell, wholeFirst } = options
  const cache = new Map<string, number | ReadonlyArray<number>>()

  const merge = (text: string): number | ReadonlyArray<number> => {
    const piece = spell(text)
    const whole = wholeFirst || piece.length === 1 ? ids.get(piece) : undefined
    if (whole !== undefined && (piece.length === 1 || !never.has(whole))) return whole
    const starts = mergePairs(Array.from({ length: piece.length + 1 }, (_, i) => i), ranks(piece))
    const found: Array<number> = []
    for (let i = 0; i + 1 < starts.length; i++) {
      const part = piece.slice(starts[i], starts[i + 1])
      const id = ids.get(part)!
      if (part.length > 1 && never.has(id)) { for (const byte of part) found.push(ids.get(byte)!) }
      else found.push(id)
    }
    return found.length === 1 ? found[0]! : found
  }

  return (piece, use) => {
    let found = cache.get(piece)
    if (found === undefined) {
      found = merge(piece)
      if (piece.length <= cachedLength) {
        if (cache.size >= cacheLimit) cache.clear()
        cache.set(piece, found)
      }
    }
    if (typeof found === "number") use(found)
    else for (const id of found) use(id)
  }
}
