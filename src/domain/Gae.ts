/**
 * Returns and advantages along one sequence.
 *
 * @since 0.1.0
 */

/**
 * One row of rewards and values, shape `[steps]`.
 *
 * @category models
 * @since 0.1.0
 */
export interface GaeInput {
  readonly rewards: ArrayLike<number>
  /** `values[t]` is the value of the state in which step `t` is taken. */
  readonly values: ArrayLike<number>
  readonly gamma: number
  readonly lambda: number
  /**
   * Steps that count: the next selected one is the next time step, behind the last one the value is 0, and all others
   * stay 0. Without a mask every column is a time step, as in the reference (quirk Q31).
   */
  readonly mask?: Uint8Array | undefined
}

/**
 * Generalised advantage estimation (Schulman et al. 2016; `compute_gae_advantage_return`): with
 * δ_t = r_t + γ·V_{t+1} − V_t, A_t = δ_t + γλ·A_{t+1} and the return A_t + V_t. Not whitened.
 *
 * @category getters
 * @since 0.1.0
 */
export const gae = (input: GaeInput): { readonly advantages: Float32Array; readonly returns: Float32Array } => {
  const { gamma, lambda, mask, rewards, values } = input
  const steps = rewards.length
  const advantages = new Float32Array(steps)
  const returns = new Float32Array(steps)
  let [nextValue, nextAdvantage] = [0, 0]
  for (let step = steps - 1; step >= 0; step--) {
    if (mask !== undefined && mask[step] !== 1) continue
    const value = values[step]!
    const advantage = rewards[step]! + gamma * nextValue - value + gamma * lambda * nextAdvantage
    advantages[step] = advantage
    returns[step] = advantage + value
    nextValue = value
    nextAdvantage = advantage
  }
  return { advantages, returns }
}

/**
 * The discounted sum of rewards from each selected step on, 0 elsewhere.
 *
 * @category getters
 * @since 0.1.0
 */
export const discountedReturns = (rewards: ArrayLike<number>, gamma: number, mask: Uint8Array): Float32Array => {
  const returns = new Float32Array(rewards.length)
  let next = 0
  for (let step = returns.length - 1; step >= 0; step--) {
    if (mask[step] !== 1) continue
    next = rewards[step]! + gamma * next
    returns[step] = next
  }
  return returns
}
