/**
 * What a step is at, for whoever waits for it.
 *
 * @since 0.1.0
 */
import type { Effect } from "effect"

/**
 * `step` is the one in hand, from 1; 0 is the evaluation before training. `total` is null where it is not known.
 *
 * @category models
 * @since 0.1.0
 */
export interface Progress {
  readonly step: number
  readonly phase: "rollouts" | "scoring" | "updates" | "evaluation"
  readonly done: number
  readonly total: number | null
}

/**
 * @category models
 * @since 0.1.0
 */
export type OnProgress = (progress: Progress) => Effect.Effect<void>
