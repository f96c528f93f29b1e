/**
 * A weighted sum of rewards.
 *
 * @since 0.1.0
 */
import { Context, Effect, Layer } from "effect"
import { Reward, type RewardBreakdown } from "../../services/Reward.ts"

/**
 * A reward and its weight.
 *
 * @category models
 * @since 0.1.0
 */
export interface Part<E = never, R = never> {
  readonly weight: number
  readonly reward: Layer.Layer<Reward, E, R>
}

const combine = (
  parts: ReadonlyArray<readonly [name: string, weight: number, breakdown: RewardBreakdown]>
): RewardBreakdown => {
  const components: Record<string, number> = {}
  const metrics: Record<string, number> = {}
  let total = 0
  for (const [name, weight, breakdown] of parts) {
    for (const [component, value] of Object.entries(breakdown.components)) {
      const weighted = weight * value
      components[`${name}/${component}`] = weighted
      total += weighted
    }
    Object.assign(metrics, breakdown.metrics)
  }
  return { total, components, metrics }
}

/**
 * Sums the parts. A component is named `part/component` and already weighted, so that components still sum to the total;
 * metrics of the same name are those of the last part that reports them.
 *
 * ```ts
 * RewardComposite.layer({
 *   answer: { weight: 1, reward: RewardF1.layer() },
 *   penalties: { weight: 1, reward: RewardPenalties.layer() },
 *   searches: { weight: 1, reward: RewardSearchCost.layer({ price: 0.01 }) }
 * })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <E = never, R = never>(
  parts: Readonly<Record<string, Part<E, R>>>
): Layer.Layer<Reward, E, R> =>
  Layer.effect(
    Reward,
    Effect.gen(function*() {
      const built = yield* Effect.forEach(
        Object.entries(parts),
        ([name, part]) =>
          Effect.map(
            Layer.build(part.reward),
            (context) => ({ name, weight: part.weight, reward: Context.get(context, Reward) })
          )
      )
      return Reward.of({
        score: (trajectory) =>
          Effect.map(
            Effect.forEach(built, ({ name, reward, weight }) =>
              Effect.map(
                reward.score(trajectory),
                (breakdown): readonly [string, number, RewardBreakdown] => [name, weight, breakdown]
              )),
            combine
          )
      })
    })
  )
