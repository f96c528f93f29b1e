/**
 * "Did you mean …?"
 *
 * @since 0.1.0
 */

/**
 * Edits that turn one word into the other, a swap of neighbours being one (optimal string alignment), ignoring case.
 *
 * @category getters
 * @since 0.1.0
 */
export const distance = (left: string, right: string): number => {
  const [a, b] = [left.toLowerCase(), right.toLowerCase()]
  let before: Array<number> = []
  let above = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const cost = a[row - 1] === b[column - 1] ? 0 : 1
      let best = Math.min(above[column]! + 1, current[column - 1]! + 1, above[column - 1]! + cost)
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        best = Math.min(best, before[column - 2]! + 1)
      }
      current.push(best)
    }
    before = above
    above = current
  }
  return above[b.length]!
}

/**
 * The candidate nearest to `word`, when it is near enough to be meant: at most a third of the word's letters away, and
 * at least one edit is always allowed.
 *
 * @category getters
 * @since 0.1.0
 */
export const nearest = (word: string, candidates: Iterable<string>): string | undefined => {
  let best: string | undefined
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 0.5
  for (const candidate of candidates) {
    const edits = distance(word, candidate)
    if (edits < bestDistance) {
      best = candidate
      bestDistance = edits
    }
  }
  return best
}
