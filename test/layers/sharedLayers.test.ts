/**
 * Effect builds a layer that is a constant once in a program: what must not be shared may not be one.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Option, Stream } from "effect"
import { ModelConfig } from "../../src/domain/ModelConfig.ts"
import * as PolicyEngine from "../../src/layers/policy/PolicyEngine.ts"
import * as RunLogMemory from "../../src/layers/runlog/RunLogMemory.ts"
import { Critic } from "../../src/services/Critic.ts"
import { Optimizer } from "../../src/services/Optimizer.ts"
import { Policy } from "../../src/services/Policy.ts"
import { ReferencePolicy } from "../../src/services/ReferencePolicy.ts"
import { RunLog } from "../../src/services/RunLog.ts"

const config = new ModelConfig({
  architecture: "llama",
  vocabularySize: 8,
  hiddenSize: 4,
  intermediateSize: 4,
  layers: 1,
  heads: 1,
  keyValueHeads: 1,
  headDim: 4,
  maxPositions: 8,
  slidingWindow: null,
  rmsNormEps: 1e-6,
  ropeTheta: 10_000,
  ropeScaling: null,
  tieWordEmbeddings: true,
  attentionBias: false,
  bosTokenIds: [],
  eosTokenIds: [],
  padTokenId: null,
  precision: "float32",
  others: {}
})

/** An engine whose critic and reference answer with a number of its own, and do nothing else. */
const engine = (value: number) =>
  Layer.effect(
    PolicyEngine.Engine,
    Effect.gen(function*() {
      const numbers = Float32Array.of(value)
      const services = yield* Layer.build(Layer.mergeAll(
        Layer.mock(Policy, { contextLength: 8 }),
        Layer.mock(Optimizer, {}),
        Layer.mock(Critic, { values: () => Effect.succeed([numbers]) }),
        Layer.mock(ReferencePolicy, { logProbs: () => Effect.succeed([{ logProbs: numbers, entropy: numbers }]) })
      ))
      return {
        policy: Context.get(services, Policy),
        optimizer: Context.get(services, Optimizer),
        critic: Option.some(Context.get(services, Critic)),
        reference: Option.some(Context.get(services, ReferencePolicy)),
        config,
        readWeight: () => Effect.succeed(numbers)
      }
    })
  )

class First extends Context.Service<First, ReadonlyArray<number>>()("test/First") {}
class Second extends Context.Service<Second, ReadonlyArray<number>>()("test/Second") {}

describe("layers that two parts of one program use", () => {
  it.effect("give each engine its own critic and reference", () =>
    Effect.gen(function*() {
      const read = Effect.gen(function*() {
        const [value] = yield* (yield* Critic).values([])
        const [reference] = yield* (yield* ReferencePolicy).logProbs([])
        return [...value ?? [], ...reference?.logProbs ?? []]
      })
      const numbers = (value: number) =>
        Layer.merge(
          Layer.provide(PolicyEngine.critic, engine(value)),
          Layer.provide(PolicyEngine.reference, engine(value))
        )
      const context = yield* Layer.build(Layer.merge(
        Layer.effect(First, read).pipe(Layer.provide(numbers(1))),
        Layer.effect(Second, read).pipe(Layer.provide(numbers(2)))
      ))
      assert.deepStrictEqual(Context.get(context, First), [1, 1])
      assert.deepStrictEqual(Context.get(context, Second), [2, 2])
    }))

  it.effect("give each run its own log in memory", () =>
    Effect.gen(function*() {
      const run = (event: string) =>
        Effect.gen(function*() {
          const log = yield* RunLog
          yield* log.event(event, {})
          return (yield* Stream.runCollect(log.readEvents)).map(({ event }) => event)
        }).pipe(Effect.provide(RunLogMemory.layer()))
      const both = Effect.all([run("a"), run("b")]).pipe(Effect.provide(RunLogMemory.layer()))
      assert.deepStrictEqual(yield* both, [["a"], ["b"]])
    }))
})
