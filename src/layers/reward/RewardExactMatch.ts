/**
 * The reward of the paper: 1 for an answer that equals a golden one after normalisation, else 0 (spec §3.4).
 *
 * @since 0.1.0
 */
import { Layer } from "effect"
import { Reward } from "../../services/Reward.ts"
import * as answerReward from "./answerReward.ts"

/**
 * @category models
 * @since 0.1.0
 */
export type Options = answerReward.Options

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (options?: Options): Reward["Service"] =>
  answerReward.make("exactMatch", (scores) => scores.em, options)

/**
 * Rewards exact match.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Reward> => Layer.succeed(Reward, make(options))
