/** Sessions at the bounds of the model's context and of what a cache may be used for. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { greedy } from "../../../../src/domain/Sampling.ts"
import * as Tiny from "./tinyEngine.ts"

describe("a session", () => {
  it.effect("fills the model's context to the last token and writes none beyond it", () =>
    Effect.gen(function*() {
      const { policy } = yield* Tiny.engine({ cacheTokens: 2 * Tiny.config.maxPositions })
      const limit = policy.contextLength
      assert.strictEqual(limit, Tiny.config.maxPositions)
      for (const room of [3, 1]) {
        const session = yield* policy.session({ promptKey: "p", sample: 0, ids: Tiny.ids(limit - room), seed: "s" })
        const generation = yield* session.generate({ maxTokens: 10, sampling: greedy, stop: [] })
        assert.strictEqual(generation.ids.length, room)
        assert.strictEqual(generation.finish, "length")
        const more = yield* Effect.flip(session.append(Int32Array.of(2)))
        assert.strictEqual(more._tag, "ContextOverflow")
      }
    }).pipe(Effect.scoped, Effect.provide(Tiny.device)))

  it.effect("reads a prompt again where the cache of it is of other parameters", () =>
    Effect.gen(function*() {
      let version = 0
      const scheduler = yield* Tiny.scheduler({ version: () => version })
      const prompt = Tiny.ids(40)
      const computed = Effect.fnUntraced(function*(sample: number) {
        const before = yield* scheduler.computedTokens
        const session = yield* scheduler.session({ promptKey: "p", sample, ids: prompt, seed: "s" })
        yield* session.generate({ maxTokens: 1, sampling: greedy, stop: [] })
        return (yield* scheduler.computedTokens) - before
      })
      assert.strictEqual(yield* computed(0), 40)
      assert.strictEqual(yield* computed(1), 1, "the same prompt under the same parameters: its last token")
      version = 1
      assert.strictEqual(yield* computed(2), 40)
      assert.strictEqual(yield* computed(3), 1)
    }).pipe(Effect.scoped, Effect.provide(Tiny.device)))
})
