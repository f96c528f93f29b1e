/**
 * The passages of a corpus by which another treatment of text shows best: an embedder is known again by the vectors that
 * it makes of them.
 *
 * @since 0.2.0
 */

/** Passages that are kept at most. */
const most = 256

/** Shorter passages say little of an embedder. */
const fewestCharacters = 40

const beyondAscii = /[^\0-\x7F]/
const letter = /^\p{L}$/u

/**
 * Characters that programs treat alike are one kind: letters of a block of 128. Punctuation, marks, signs that nothing is
 * shown of and letters that are another form of others have each a treatment of their own.
 */
const kindOf = (point: number): number => {
  const character = String.fromCodePoint(point)
  return letter.test(character) && character.normalize("NFKC") === character ? -1 - (point >> 7) : point
}

/**
 * Chooses passages as they come: a short one in ASCII, the one with the largest share of other characters, and those that bring
 * kinds of characters which none before had.
 *
 * @category constructors
 * @since 0.2.0
 */
export class Chooser {
  /** By code point, whether it has been met. */
  private readonly met = new Uint8Array(0x110000)
  private readonly kinds = new Set<number>()
  private readonly kept: Array<number> = []
  private plain: number | undefined
  private plainLength = 0
  private strangest: number | undefined
  private largestShare = 0

  /** `text` is what is embedded of the passage in `row`. */
  offer(row: number, text: string): void {
    if (!beyondAscii.test(text)) {
      // a model may cut long ones, and another one elsewhere
      const isBetter = this.plain === undefined || text.length < this.plainLength
      if (isBetter && /\w/.test(text) && (this.plain === undefined || text.length >= fewestCharacters)) {
        this.plain = row
        this.plainLength = Math.max(fewestCharacters, text.length)
      }
      return
    }
    let strange = 0
    let isNew = false
    for (let at = 0; at < text.length; at++) {
      const point = text.codePointAt(at) ?? 0
      if (point < 0x80) continue
      strange += 1
      if (point > 0xFFFF) at += 1
      if (this.met[point] === 1) continue
      this.met[point] = 1
      const kind = kindOf(point)
      if (this.kinds.has(kind)) continue
      this.kinds.add(kind)
      isNew = true
    }
    if (isNew && this.kept.length < most) this.kept.push(row)
    if (strange / text.length > this.largestShare) {
      this.largestShare = strange / text.length
      this.strangest = row
    }
  }

  /** The rows that were chosen, the most telling first. */
  rows(): ReadonlyArray<number> {
    return [...new Set([this.strangest, this.plain, ...this.kept])].filter((row) => row !== undefined)
  }
}
