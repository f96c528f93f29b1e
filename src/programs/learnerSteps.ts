/**
 * Steps of supervised learning, of which none is lost when they end early.
 *
 * @since 0.2.0
 */
import { Effect, Option, type Schema, type Scope } from "effect"
import type { MiniBatch } from "../domain/Batch.ts"
import { type CheckpointError, Checkpoints } from "../services/Checkpoints.ts"
import * as Optimizer from "../services/Optimizer.ts"

/**
 * @category models
 * @since 0.2.0
 */
export interface LearnerSteps {
  /** Makes the step behind the first `index`. An interruption gives it up at one of its computations. */
  readonly update: (
    index: number,
    batch: MiniBatch,
    options: Optimizer.UpdateOptions
  ) => Effect.Effect<Optimizer.UpdateResult, Optimizer.LearnerError>
  /** Saves the last step that was made, unless it is. */
  readonly save: Effect.Effect<void, Optimizer.LearnerError | CheckpointError>
}

/**
 * Steps behind the first `restored`. What was made and not saved is saved when the scope ends. `stateOf` tells what a
 * checkpoint says beside the parameters.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = Effect.fnUntraced(function*(
  restored: number,
  stateOf: (step: number, learner: Schema.Json) => Effect.Effect<Schema.Json>
): Effect.fn.Return<LearnerSteps, never, Optimizer.Optimizer | Checkpoints | Scope.Scope> {
  const optimizer = yield* Optimizer.Optimizer
  const checkpoints = yield* Checkpoints
  let done = restored
  let saved = restored
  /** The policy's version behind the last step that was heard of. */
  let version = Number.POSITIVE_INFINITY
  const write = Effect.gen(function*() {
    const learner = yield* optimizer.state
    // who interrupts an update does not hear whether it ended before the learner heard of that
    const step = Option.exists(Optimizer.policyVersion(learner), (now) => now > version) ? done + 1 : done
    const state = yield* stateOf(step, learner.info)
    yield* checkpoints.save({ step, metric: null, state, blobs: learner.blobs })
    saved = step
  })
  const save = Effect.uninterruptible(Effect.suspend(() => done === saved ? Effect.void : write))
  yield* Effect.addFinalizer(() =>
    Effect.catch(save, (error) => Effect.logError(`the last checkpoint could not be saved: ${error.message}`))
  )
  return {
    update: (index, batch, options) =>
      Effect.tap(optimizer.update(batch, options), ({ policyVersion }) =>
        Effect.sync(() => {
          done = index + 1
          version = policyVersion
        })),
    save
  }
})
