import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { RpcTest } from "effect/rpc"
import * as Batch from "../../../../src/domain/Batch.ts"
import { negativeLogLikelihood } from "../../../../src/domain/Loss.ts"
import { plainLlama } from "../../../../src/domain/ModelConfig.ts"
import { onPolicy } from "../../../../src/domain/Sampling.ts"
import * as EngineClient from "../../../../src/layers/policy/engine/EngineClient.ts"
import { EngineRpcs } from "../../../../src/layers/policy/engine/EngineRpcs.ts"

const config = plainLlama({ vocabularySize: 8, hiddenSize: 8, layers: 1, heads: 1, maxPositions: 8 })

/** An engine in the middle of a computation: it starts and opens sessions, and hears of nothing else for now. */
const busy = Effect.gen(function*() {
  const closed = yield* Deferred.make<number>()
  const over = yield* Deferred.make<never>()
  const deaf = () => Effect.uninterruptible(Deferred.await(over))
  const client = yield* RpcTest.makeClient(EngineRpcs).pipe(
    Effect.provide(EngineRpcs.toLayer({
      Start: () => Effect.succeed({ config, contextLength: 8 }),
      Open: ({ options }) => options.promptKey === "deaf" ? deaf() : Effect.succeed(7),
      Close: ({ session }) => Effect.andThen(Deferred.succeed(closed, session), deaf()),
      Version: deaf,
      Append: deaf,
      Generate: deaf,
      GenerateAloud: () => deaf(),
      LogProbs: deaf,
      Update: deaf,
      State: deaf,
      Restore: deaf,
      Values: deaf,
      UpdateCritic: deaf,
      ReadWeight: deaf
    }))
  )
  // the test's end is that of the computation
  yield* Effect.addFinalizer(() => Deferred.interrupt(over))
  const engine = yield* EngineClient.make(client, { model: "", device: "cpu" })
  return { engine, closed: Deferred.await(closed) }
})

const session = (promptKey: string) => ({ promptKey, sample: 0, ids: Int32Array.of(1), seed: "s" })
const generate = { maxTokens: 4, sampling: onPolicy, stop: [] }

describe("EngineClient", () => {
  it.live("waits for nothing that a busy engine does when it is interrupted", () =>
    Effect.gen(function*() {
      const { closed, engine: { optimizer, policy, readWeight } } = yield* busy
      const talk = (
        use: (open: Effect.Success<ReturnType<typeof policy.session>>) => Effect.Effect<unknown, unknown>
      ) => Effect.scoped(Effect.flatMap(policy.session(session("open")), use))
      const update = optimizer.update(Batch.miniBatch([]), {
        loss: negativeLogLikelihood,
        learningRate: 1,
        adamW: { beta1: 0.9, beta2: 0.9, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1 },
        temperature: 1,
        microBatch: { maxTokens: 1 }
      })
      const calls: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
        Effect.scoped(policy.session(session("deaf"))),
        talk((open) => open.generate(generate)),
        talk((open) => open.generate(generate, () => Effect.void)),
        talk((open) => open.append(Int32Array.of(1))),
        policy.logProbs([Int32Array.of(1)]),
        update,
        optimizer.state,
        readWeight({ name: "w", shape: [1] })
      ]
      for (const call of calls) {
        const fiber = yield* Effect.forkChild(call, { startImmediately: true })
        yield* Effect.sleep("5 millis")
        // would hang where the call waits for the engine
        yield* Fiber.interrupt(fiber)
      }
      // a session that was left is closed all the same
      assert.strictEqual(yield* closed, 7)
    }), 10_000)

  it.live("ends a session without waiting for its end", () =>
    Effect.gen(function*() {
      const { closed, engine } = yield* busy
      yield* Effect.scoped(engine.policy.session(session("open")))
      assert.strictEqual(yield* closed, 7)
    }), 10_000)
})
