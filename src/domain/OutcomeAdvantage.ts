/**
 * Advantages of whole trajectories from their scores: one number each, which every token of the trajectory shares.
 *
 * @since 0.1.0
 */

/**
 * Positions of equal keys, in order of first appearance.
 *
 * @category getters
 * @since 0.1.0
 */
export const groupsOf = (keys: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<number>> => {
  const groups = new Map<string, Array<number>>()
  keys.forEach((key, index) => {
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [index])
    else group.push(index)
  })
  return [...groups.values()]
}

const meanOf = (scores: ReadonlyArray<number>, group: ReadonlyArray<number>): number => {
  let sum = 0
  for (const index of group) sum += scores[index]!
  return sum / group.length
}

/** Sample standard deviation (divisor n − 1). */
const deviationOf = (scores: ReadonlyArray<number>, group: ReadonlyArray<number>, mean: number): number => {
  let squares = 0
  for (const index of group) squares += (scores[index]! - mean) ** 2
  return Math.sqrt(squares / (group.length - 1))
}

const perGroup = (
  scores: ReadonlyArray<number>,
  keys: ReadonlyArray<string>,
  advantage: (score: number, mean: number, group: ReadonlyArray<number>) => number
): Float64Array => {
  const advantages = new Float64Array(scores.length)
  for (const group of groupsOf(keys)) {
    const mean = meanOf(scores, group)
    for (const index of group) advantages[index] = advantage(scores[index]!, mean, group)
  }
  return advantages
}

/**
 * GRPO (spec 4.5): (s − mean)/(std + 1e-6) within the group, sample standard deviation. A group of one has mean 0 and
 * deviation 1, which is the "REINFORCE" of the paper's Table 8.
 *
 * @category getters
 * @since 0.1.0
 */
export const grpo = (scores: ReadonlyArray<number>, keys: ReadonlyArray<string>): Float64Array => {
  const advantages = new Float64Array(scores.length)
  for (const group of groupsOf(keys)) {
    const alone = group.length === 1
    const mean = alone ? 0 : meanOf(scores, group)
    const deviation = alone ? 1 : deviationOf(scores, group, mean)
    for (const index of group) advantages[index] = (scores[index]! - mean) / (deviation + 1e-6)
  }
  return advantages
}

/**
 * Dr. GRPO (Liu et al. 2025, "Understanding R1-Zero-like training"): s − mean of the group, without the division by the
 * deviation; a group of one keeps its score.
 *
 * @category getters
 * @since 0.1.0
 */
export const drGrpo = (scores: ReadonlyArray<number>, keys: ReadonlyArray<string>): Float64Array =>
  perGroup(scores, keys, (score, mean, group) => group.length === 1 ? score : score - mean)

/**
 * RLOO (Ahmadian et al. 2024): s − mean of the group's other members; a group of one keeps its score.
 *
 * @category getters
 * @since 0.1.0
 */
export const rloo = (scores: ReadonlyArray<number>, keys: ReadonlyArray<string>): Float64Array =>
  perGroup(scores, keys, (score, mean, { length }) => length === 1 ? score : (score - mean) * length / (length - 1))

/**
 * REINFORCE: the score, less the mean of all scores of the batch where `baseline` says so.
 *
 * @category getters
 * @since 0.1.0
 */
export const reinforce = (scores: ReadonlyArray<number>, baseline: "none" | "batchMean"): Float64Array => {
  const mean = baseline === "none" ? 0 : meanOf(scores, scores.map((_, index) => index))
  return Float64Array.from(scores, (score) => score - mean)
}
