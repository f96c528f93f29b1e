/**
 * 1 for an answer that contains a golden one after normalisation, else 0 (`qa_em.compute_score_subem`). A policy can game it by
 * answering at length.
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
  answerReward.make("subExactMatch", (scores) => scores.subEm, options)

/**
 * Rewards sub-exact match.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Reward> => Layer.succeed(Reward, make(options))
