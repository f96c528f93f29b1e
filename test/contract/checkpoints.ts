/**
 * What every Checkpoints must do, wherever it keeps them. Built with `keepLast` 2 and `keepBest`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Layer, Option, Schema } from "effect"
import * as Prng from "../../src/domain/Prng.ts"
import { type Checkpoint, CheckpointIo, Checkpoints } from "../../src/services/Checkpoints.ts"

const Seed = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))

const randomBytes = (seed: string, length: number): Uint8Array => {
  const prng = Prng.make(seed)
  return Uint8Array.from({ length }, () => prng.below(256))
}

export const checkpointAt = (step: number, metric: number | null = null): Checkpoint => ({
  step,
  metric,
  state: { cursor: { epoch: 1, offset: step }, text: "ü\n\"", none: null, list: [1.5, true] },
  blobs: {
    "model/weights": randomBytes(`w${step}`, 1000),
    moments: randomBytes(`m${step}`, 10),
    empty: new Uint8Array()
  }
})

export const checkpointsContract = <E>(name: string, fresh: () => Layer.Layer<Checkpoints, E>): void => {
  const withStore = <A, E2>(use: (checkpoints: Checkpoints["Service"]) => Effect.Effect<A, E2>) =>
    Effect.suspend(() => Effect.provide(Effect.flatMap(Checkpoints, use), fresh()))
  const steps = (checkpoints: Checkpoints["Service"]) =>
    Effect.map(checkpoints.list, (infos) => infos.map((info) => info.step))

  describe(`${name} keeps the contract of Checkpoints`, () => {
    it.effect("loads what was saved, byte for byte", () =>
      withStore((checkpoints) =>
        Effect.gen(function*() {
          const saved = checkpointAt(3, 0.25)
          const info = yield* checkpoints.save(saved)
          assert.deepStrictEqual([info.step, info.metric], [3, 0.25])
          const loaded = yield* checkpoints.load(info)
          assert.deepStrictEqual(loaded, saved)
          assert.deepStrictEqual(yield* checkpoints.peek(info), saved.state)
          for (const blob of Object.values(loaded.blobs)) {
            assert.strictEqual(blob.constructor, Uint8Array)
            assert.strictEqual(blob.byteOffset, 0, "numbers can be read in place")
          }
          assert.deepStrictEqual(yield* checkpoints.list, [info])
        })
      ))

    it.effect("an empty store has nothing, and what was removed cannot be loaded", () =>
      withStore((checkpoints) =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* checkpoints.list, [])
          assert.isTrue(Option.isNone(yield* checkpoints.latest))
          assert.isTrue(Option.isNone(yield* checkpoints.best))
          const first = yield* checkpoints.save(checkpointAt(1))
          for (const step of [2, 3]) yield* checkpoints.save(checkpointAt(step))
          const error = yield* Effect.flip(checkpoints.load(first))
          assert.strictEqual(error._tag, "CheckpointCorrupt")
          assert.strictEqual((yield* Effect.flip(checkpoints.peek(first)))._tag, "CheckpointCorrupt")
        })
      ))

    it.effect("keeps the last two and the best", () =>
      withStore((checkpoints) =>
        Effect.gen(function*() {
          const metrics = [0.1, 0.9, null, 0.3, 0.2]
          for (const [step, metric] of metrics.entries()) yield* checkpoints.save(checkpointAt(step, metric))
          assert.deepStrictEqual(yield* steps(checkpoints), [1, 3, 4])
          assert.strictEqual(Option.getOrThrow(yield* checkpoints.latest).step, 4)
          assert.strictEqual(Option.getOrThrow(yield* checkpoints.best).step, 1)
          yield* checkpoints.save(checkpointAt(5, 0.9))
          assert.deepStrictEqual(yield* steps(checkpoints), [4, 5], "the newest of equals is the best")
        })
      ))

    it.effect("a step that is saved again is replaced", () =>
      withStore((checkpoints) =>
        Effect.gen(function*() {
          yield* checkpoints.save(checkpointAt(7, 0.5))
          const again: Checkpoint = { ...checkpointAt(7, 0.25), state: "second" }
          const info = yield* checkpoints.save(again)
          assert.deepStrictEqual(yield* checkpoints.list, [info])
          assert.deepStrictEqual(yield* checkpoints.load(info), again)
        })
      ))

    it.effect("a checkpoint that is older than others is kept when it was just saved", () =>
      withStore((checkpoints) =>
        Effect.gen(function*() {
          for (const step of [5, 6]) yield* checkpoints.save(checkpointAt(step))
          const info = yield* checkpoints.save(checkpointAt(2))
          assert.deepStrictEqual(yield* checkpoints.load(info), checkpointAt(2))
        })
      ))

    it.effect("a metric that JSON cannot hold is an error, and nothing is saved", () =>
      withStore((checkpoints) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(checkpoints.save(checkpointAt(1, Number.NaN)))
          assert.instanceOf(error, CheckpointIo)
          assert.deepStrictEqual(yield* checkpoints.list, [])
        })
      ))

    it.effect("keeps a copy: changing the arrays later changes nothing that is saved", () =>
      withStore((checkpoints) =>
        Effect.gen(function*() {
          const weights = randomBytes("w", 100)
          const info = yield* checkpoints.save({ ...checkpointAt(1), blobs: { weights } })
          const before = weights.slice()
          weights.fill(0)
          const loaded = yield* checkpoints.load(info)
          assert.deepStrictEqual(loaded.blobs["weights"], before)
          loaded.blobs["weights"]?.fill(1)
          assert.deepStrictEqual((yield* checkpoints.load(info)).blobs["weights"], before)
        })
      ))

    it.effect.prop(
      "whatever is saved in whatever order: latest is the highest step, best the highest metric",
      [Seed],
      ([seed]) =>
        withStore((checkpoints) =>
          Effect.gen(function*() {
            const prng = Prng.make(`checkpoints/${seed}`)
            const order = Array.from({ length: 1 + prng.below(6) }, (_, step) => step)
            const metrics = order.map(() => prng.below(100) / 100)
            for (const step of order) yield* checkpoints.save(checkpointAt(step, metrics[step] ?? null))
            const best = Option.getOrThrow(yield* checkpoints.best)
            assert.strictEqual(best.metric, Math.max(...metrics))
            assert.strictEqual(Option.getOrThrow(yield* checkpoints.latest).step, order.length - 1)
            for (const info of yield* checkpoints.list) {
              assert.deepStrictEqual(yield* checkpoints.load(info), checkpointAt(info.step, info.metric))
            }
          })
        ),
      { arbitrary: { runs: 15 } }
    )
  })
}
