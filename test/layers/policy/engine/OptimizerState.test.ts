/** What an update does with its gradient's norm, and what a restored state leaves of the one before. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { UpdateOptions } from "../../../../src/services/Optimizer.ts"
import { assertSameBlobs, assertSameState } from "../../../support/states.ts"
import * as Tiny from "./tinyEngine.ts"

/** The state of a fresh engine behind updates. */
const after = (...updates: ReadonlyArray<UpdateOptions>) =>
  Effect.scoped(Effect.gen(function*() {
    const { optimizer } = yield* Tiny.engine()
    let norm = Number.NaN
    for (const update of updates) norm = (yield* optimizer.update(Tiny.batch, update)).metrics["actor/grad_norm"]!
    return { norm, ...(yield* optimizer.state) }
  }))

const bounded = (maxGradNorm: number | null): UpdateOptions => ({
  ...Tiny.update,
  adamW: { ...Tiny.update.adamW, maxGradNorm }
})

const floats = (blob: Uint8Array | undefined) => new Float32Array((blob ?? new Uint8Array()).slice().buffer)

describe("the bound on the gradient's norm", () => {
  it.effect("leaves a smaller gradient as it is", () =>
    Effect.gen(function*() {
      const free = yield* after(bounded(null))
      const wide = yield* after(bounded(1e6))
      assertSameBlobs(wide.blobs, free.blobs)
    }).pipe(Effect.provide(Tiny.device)))

  it.effect("scales a larger one to it: the first moments are those of the whole gradient times bound over norm", () =>
    Effect.gen(function*() {
      const free = yield* after(bounded(null))
      const narrow = yield* after(bounded(0.01))
      assert.isAbove(free.norm, 0.1)
      assert.strictEqual(narrow.norm, free.norm, "the norm is reported as it was")
      const moments = Object.keys(free.blobs).filter((name) => name.startsWith("adam.m/"))
      assert.isAbove(moments.length, 5)
      let squares = 0
      for (const name of moments) {
        const [scaled, whole] = [floats(narrow.blobs[name]), floats(free.blobs[name])]
        scaled.forEach((value, at) => {
          squares += value ** 2
          assert.closeTo(value, whole[at]! * 0.01 / free.norm, 1e-7, `${name}[${at}]`)
        })
      }
      // moments behind one step are a tenth of the gradient: 1 - beta1
      assert.closeTo(Math.sqrt(squares) / (1 - Tiny.update.adamW.beta1), 0.01, 1e-5)
    }).pipe(Effect.provide(Tiny.device)))
})

describe("a restored state", () => {
  it.effect("leaves nothing of what was learned before: the next update is that of a fresh engine", () =>
    Effect.gen(function*() {
      const fresh = yield* after(Tiny.update)
      const { optimizer, policy } = yield* Tiny.engine()
      const first = yield* optimizer.state
      for (let i = 0; i < 3; i++) yield* optimizer.update(Tiny.batch, Tiny.update)
      yield* optimizer.restore(first)
      assertSameState(yield* optimizer.state, first)
      assert.strictEqual(yield* policy.version, 0)
      yield* optimizer.update(Tiny.batch, Tiny.update)
      assertSameBlobs((yield* optimizer.state).blobs, fresh.blobs)
    }).pipe(Effect.scoped, Effect.provide(Tiny.device)))
})
