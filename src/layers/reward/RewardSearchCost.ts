/**
 * A price on every search that a retriever answered.
 *
 * @since 0.1.0
 */
import { Effect, Layer } from "effect"
import { Reward } from "../../services/Reward.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Reward that one search costs. */
  readonly price: number
  /** Searches without a price. Default 0. */
  readonly free?: number | undefined
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = ({ free = 0, price }: Options): Reward["Service"] =>
  Reward.of({
    score: (trajectory) =>
      Effect.sync(() => {
        const searches = trajectory.counts.executedSearches
        const priced = Math.max(0, searches - free)
        const cost = priced === 0 ? 0 : -price * priced
        return { total: cost, components: { searchCost: cost }, metrics: { searches } }
      })
  })

/**
 * Charges for searches. A part of a `RewardComposite`, beside a reward of the answer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Reward> => Layer.succeed(Reward, make(options))
