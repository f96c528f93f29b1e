/**
 * How a run begins: anew, or behind its newest checkpoint.
 *
 * @since 0.2.0
 */
import { Effect, Option, Stream } from "effect"
import type { RunConfig } from "../../domain/RunConfigSchema.ts"
import { Checkpoints } from "../../services/Checkpoints.ts"
import { RunLog } from "../../services/RunLog.ts"
import * as State from "./State.ts"

/**
 * Where a run begins: `step` steps are made, and `resumed` tells whether a checkpoint said so.
 *
 * @category models
 * @since 0.2.0
 */
export interface Begun {
  readonly step: number
  readonly resumed: boolean
}

/**
 * @category models
 * @since 0.2.0
 */
export interface Options<E> {
  readonly resume?: boolean | undefined
  readonly onBegun?: ((begun: Begun) => Effect.Effect<void, E>) | undefined
}

const anew = Effect.fnUntraced(function*<E>(config: RunConfig, options: Options<E>) {
  const log = yield* RunLog
  if (options.onBegun !== undefined) yield* options.onBegun({ step: 0, resumed: false })
  // what a run that died before its first checkpoint had logged
  if (options.resume === true) yield* log.rewind(-1)
  yield* log.event("started", { seed: config.seed, steps: config.steps, algorithm: config.algorithm })
  return { state: State.initial(config), resumed: false }
})

/**
 * Everything that can refuse the run comes first, then `onBegun` is told, and only then the log is changed. The log is
 * brought to where the checkpoint is: what was recorded behind it will be recorded again.
 *
 * @category programs
 * @since 0.2.0
 */
export const begin = Effect.fn("Train.begin")(function*<E>(config: RunConfig, options: Options<E>) {
  const latest = options.resume === true ? yield* (yield* Checkpoints).latest : Option.none()
  if (Option.isNone(latest)) return yield* anew(config, options)
  const state = yield* State.load(latest.value, config)
  if (options.onBegun !== undefined) yield* options.onBegun({ step: state.step, resumed: true })
  const log = yield* RunLog
  // a step whose evaluation is to be made up for has its trajectories in the log, and no metrics yet
  yield* log.rewind(state.pending === null ? state.step : state.step - 1, { trajectories: state.step })
  // the log may have lost the line, say to somebody who cleaned up
  const last = yield* Stream.runLast(log.readMetrics)
  const logged = Option.match(last, { onNone: () => -1, onSome: (record) => record.step })
  if (state.lastMetrics !== null && logged < state.lastMetrics.step) yield* log.metrics(state.lastMetrics)
  yield* log.event("resumed", { step: state.step })
  return { state, resumed: true }
})
