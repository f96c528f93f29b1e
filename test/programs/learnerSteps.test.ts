/** Steps of supervised learning that end early: what is saved is what was learned, under the number of its step. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Option, Scope } from "effect"
import * as AdamW from "../../src/domain/AdamW.ts"
import * as Batch from "../../src/domain/Batch.ts"
import { negativeLogLikelihood } from "../../src/domain/Loss.ts"
import * as CheckpointsMemory from "../../src/layers/checkpoints/CheckpointsMemory.ts"
import * as LearnerSteps from "../../src/programs/learnerSteps.ts"
import { Checkpoints } from "../../src/services/Checkpoints.ts"
import { Optimizer, type UpdateOptions } from "../../src/services/Optimizer.ts"

const batch = Batch.miniBatch([Batch.demonstration({ key: "0", ids: Int32Array.of(1, 2) })])

const options: UpdateOptions = {
  loss: negativeLogLikelihood,
  learningRate: 1,
  adamW: AdamW.reference,
  temperature: 1,
  microBatch: { maxTokens: 8 }
}

/** An optimizer whose third update never answers, having changed the parameters or not. */
const stuck = (hasChanged: boolean, reached: Deferred.Deferred<void>) => {
  let version = 0
  return Optimizer.of({
    update: () =>
      Effect.suspend(() => {
        if (version < 2) return Effect.succeed({ metrics: {}, policyVersion: ++version })
        if (hasChanged) version++
        return Effect.andThen(Deferred.succeed(reached, undefined), Effect.never)
      }),
    state: Effect.sync(() => ({ info: { version }, blobs: { weights: Uint8Array.of(version) } })),
    restore: () => Effect.void
  })
}

describe("steps of a learner", () => {
  for (const hasChanged of [false, true]) {
    it.effect(`an update that is given up ${hasChanged ? "after" : "before"} it changed the parameters`, () =>
      Effect.gen(function*() {
        const reached = yield* Deferred.make<void>()
        const scope = yield* Scope.make()
        const steps = yield* LearnerSteps.make(0, (step, learner) => Effect.succeed({ step, learner })).pipe(
          Effect.provideService(Optimizer, stuck(hasChanged, reached)),
          Scope.provide(scope)
        )
        const fiber = yield* Effect.forkChild(
          Effect.forEach([0, 1, 2], (index) => steps.update(index, batch, options), { discard: true })
        )
        yield* Deferred.await(reached)
        yield* Fiber.interrupt(fiber)
        yield* Scope.close(scope, Exit.void)
        const checkpoints = yield* Checkpoints
        const saved = Option.getOrThrow(yield* checkpoints.latest)
        const step = hasChanged ? 3 : 2
        assert.strictEqual(saved.step, step)
        const { blobs, state } = yield* checkpoints.load(saved)
        assert.deepStrictEqual(state, { step, learner: { version: step } })
        assert.deepStrictEqual(blobs, { weights: Uint8Array.of(step) })
      }).pipe(Effect.provide(CheckpointsMemory.layer())))
  }

  it.effect("nothing is saved where no step was made", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(LearnerSteps.make(4, () => Effect.succeed(null))).pipe(
        Effect.provideService(Optimizer, stuck(false, yield* Deferred.make<void>()))
      )
      assert.isTrue(Option.isNone(yield* (yield* Checkpoints).latest))
    }).pipe(Effect.provide(CheckpointsMemory.layer())))
})
