/**
 * F1 of the answer's words against the best golden answer, in [0, 1]. A wrong and a missing answer both earn 0, which teaches
 * some policies not to answer: combine it with `RewardPenalties` (spec §8).
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
export const make = (options?: Options): Reward["Service"] => answerReward.make("f1", (scores) => scores.f1, options)

/**
 * Rewards the F1 score.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Reward> => Layer.succeed(Reward, make(options))
