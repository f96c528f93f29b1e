import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as tf from "@tensorflow/tfjs-core"
import { Effect, Exit, Fiber, Scope } from "effect"
import { ModelConfig } from "../../../../src/domain/ModelConfig.ts"
import { embedding, outputHead } from "../../../../src/domain/ModelTensors.ts"
import { greedy, onPolicy, type Sampling } from "../../../../src/domain/Sampling.ts"
import { whole } from "../../../../src/layers/device/pieces.ts"
import * as Pretrained from "../../../../src/layers/model/Pretrained.ts"
import * as Weights from "../../../../src/layers/model/Weights.ts"
import * as CounterRandom from "../../../../src/layers/policy/engine/CounterRandom.ts"
import { KvCache } from "../../../../src/layers/policy/engine/KvCache.ts"
import * as Network from "../../../../src/layers/policy/engine/Network.ts"
import { packedForward } from "../../../../src/layers/policy/engine/Packed.ts"
import * as Scheduler from "../../../../src/layers/policy/engine/Scheduler.ts"
import * as Scoring from "../../../../src/layers/policy/engine/Scoring.ts"
import { nextLogits } from "../../../../src/layers/policy/engine/Step.ts"
import { Device } from "../../../../src/services/Device.ts"
import { allClose, byteTokenizer, devices, fastest, golden, model, noModels } from "./fixtures.ts"

const stories = "stories260K"

/** A reference model that goes on behind an end of text, as the records do. */
const start = Effect.fnUntraced(function*(name: string, options?: Scheduler.SchedulerOptions) {
  const device = yield* Device
  const weights = yield* Weights.read(model(name))
  const endless = new ModelConfig({ ...weights.config, eosTokenIds: [] })
  const network = yield* Network.make(endless, weights.tensors)
  const scheduler = yield* Scheduler.make(
    device,
    network,
    byteTokenizer(network.config.vocabularySize),
    () => 0,
    options
  )
  return { device, network, scheduler }
})

const sampled = Effect.fnUntraced(function*(
  scheduler: Scheduler.Scheduler,
  options: {
    readonly ids: Int32Array
    readonly key: string
    readonly seed: string
    readonly tokens: number
    readonly sampling?: Sampling
  }
) {
  const session = yield* scheduler.session({ promptKey: options.key, sample: 0, ids: options.ids, seed: options.seed })
  return yield* session.generate({ maxTokens: options.tokens, sampling: options.sampling ?? onPolicy, stop: [] })
}, Effect.scoped)

const prompt = Int32Array.of(1, 403, 407, 261, 378)

interface Stories {
  readonly prompt: string
  readonly logits_after_prompt: ReadonlyArray<number>
  readonly greedy_text: string
  readonly prompt_ids: ReadonlyArray<number>
  readonly greedy_ids: ReadonlyArray<number>
  readonly greedy_logprobs: ReadonlyArray<number>
}

const storyOf = () => {
  const { greedy_text, ...record } = golden<Stories>(stories)
  // The record shows the byte token of a newline by its name, which llama2.c prints as the byte.
  return { ...record, greedy_text: greedy_text.replaceAll("<0x0A>", "\n") }
}

for (const device of devices) {
  describe.skipIf(noModels !== undefined || device.absent !== undefined)(`generation on ${device.name}`, () => {
    it.effect("writes the greedy story of the float64 reference through the cache", () =>
      Effect.gen(function*() {
        const device = yield* Device
        const { greedy_ids, greedy_logprobs, greedy_text, logits_after_prompt, prompt, prompt_ids } = storyOf()
        const { tokenizer, weights } = yield* Pretrained.open(model(stories))
        const network = yield* Network.make(weights.config, weights.tensors)
        const ids = Int32Array.of(...weights.config.bosTokenIds, ...tokenizer.encode(prompt))
        assert.deepStrictEqual([...ids], prompt_ids)
        const cache = yield* Effect.acquireRelease(
          device.run(() => new KvCache(weights.config, 3)),
          (cache) => Effect.ignore(device.run(() => cache.dispose()))
        )
        // The prompt but its last token is read first: that one finds the others in the cache.
        const blocks = [1, 2]
        const draw = { temperature: 0, topK: 0, topP: 1, uniform: 0 }
        const found = yield* device.run(() => {
          nextLogits(network, cache, [{ ids: prompt_ids.slice(0, -1), cached: 0, blocks }])
          return nextLogits(network, cache, [{ ids: prompt_ids.slice(-1), cached: ids.length - 1, blocks, draw }])
        })
        allClose(yield* device.run(() => found!.dataSync()), logits_after_prompt, 1e-4, "logits")

        const scheduler = yield* Scheduler.make(device, network, tokenizer, () => 0)
        const session = yield* scheduler.session({ promptKey: "p", sample: 0, ids, seed: "s" })
        const generation = yield* session.generate({ maxTokens: greedy_ids.length, sampling: greedy, stop: [] })
        assert.deepStrictEqual([...generation.ids], greedy_ids)
        allClose(generation.modelLogProbs, greedy_logprobs, 1e-4, "log-probabilities")
        assert.strictEqual(generation.finish, "length")
        assert.strictEqual(generation.text, greedy_text)
      }).pipe(Effect.scoped, Effect.provide([device.layer, NodeServices.layer])), 60_000)

    it.effect("writes the greedy story of the float64 reference without the cache", () =>
      Effect.gen(function*() {
        const { run } = yield* Device
        const { greedy_ids, greedy_text, logits_after_prompt, prompt_ids } = storyOf()
        // Plain JavaScript and PyTorch on a processor take 20 s for all of them.
        const count = device.name === "DeviceCpu" || device.name === "DeviceTorch" ? 20 : greedy_ids.length
        const { tokenizer, weights } = yield* Pretrained.open(model(stories))
        const network = yield* Network.make(weights.config, weights.tensors)
        const head = network.parameters.get(weights.config.tieWordEmbeddings ? embedding : outputHead)
        const context = [...prompt_ids]
        for (let i = 0; i < count; i++) {
          const logits = yield* run(() => {
            const ids = Int32Array.from(context)
            const { hidden } = whole(packedForward(network, ids, Int32Array.of(0, ids.length), "nothing"))
            const last = tf.matMul(tf.slice(hidden, [ids.length - 1, 0], [1, -1]), head, false, true)
            return Array.from(last.dataSync())
          })
          if (i === 0) allClose(logits, logits_after_prompt, 1e-4, "logits")
          context.push(logits.indexOf(logits.reduce((a, b) => Math.max(a, b))))
        }
        const written = context.slice(prompt_ids.length)
        assert.deepStrictEqual(written, greedy_ids.slice(0, count))
        assert.isTrue(greedy_text.startsWith(tokenizer.decode(Int32Array.from(written))))
      }).pipe(Effect.scoped, Effect.provide([device.layer, NodeServices.layer])), 60_000)

    for (const name of device.name === "DeviceCpu" ? ["hf/qwen3"] : ["hf/qwen2", "hf/qwen3", "hf/llama3"]) {
      it.effect(`continues as transformers does, prompts of unlike lengths together: ${name}`, () =>
        Effect.gen(function*() {
          const { scheduler } = yield* start(name, { maxTokens: 100 })
          const { cases } = golden<{
            readonly cases: ReadonlyArray<{ readonly prompt: Array<number>; readonly greedy: Array<number> }>
          }>(name)
          const found = yield* Effect.forEach(cases, ({ greedy: tokens, prompt }, i) =>
            sampled(scheduler, {
              ids: Int32Array.from(prompt),
              key: `${i}`,
              seed: "s",
              tokens: tokens.length,
              sampling: greedy
            }), { concurrency: "unbounded" })
          found.forEach(({ ids }, i) => assert.deepStrictEqual([...ids], cases[i]!.greedy))
        }).pipe(Effect.provide([device.layer, NodeServices.layer])))
    }
  })
}

// Plain JavaScript takes minutes.
for (const device of devices.filter(({ name }) => name !== "DeviceCpu")) {
  describe.skipIf(noModels !== undefined || device.absent !== undefined)(`many sessions on ${device.name}`, () => {
    const provide = Effect.provide([device.layer, NodeServices.layer])

    it.effect("the same seed draws the same tokens alone and among 63 others", () =>
      Effect.gen(function*() {
        const { scheduler } = yield* start(stories)
        const draw = (i: number, tokens: number) =>
          sampled(scheduler, { ids: prompt.slice(0, 1 + i % 5), key: `${i % 5}`, seed: `seed-${i}`, tokens })
        const alone = yield* draw(17, 24)
        const together = yield* Effect.forEach(
          Array.from({ length: 64 }, (_, i) => i),
          (i) => draw(i, 8 + (i * 7) % 17),
          { concurrency: "unbounded" }
        )
        const length = together[17]!.ids.length
        assert.deepStrictEqual(together[17]!.ids, alone.ids.slice(0, length))
        assert.isAbove(new Set(together.map(({ ids }) => ids.join())).size, 60)
        assert.strictEqual(yield* scheduler.usedBlocks, 0)
      }).pipe(provide))

    it.effect("1000 sessions leave tensors and bytes where they began", () =>
      Effect.gen(function*() {
        const { device, scheduler } = yield* start(stories, { cacheTokens: 8192 })
        const round = (count: number) =>
          Effect.forEach(
            Array.from({ length: count }, (_, i) => i),
            (i) => sampled(scheduler, { ids: prompt, key: `${i % 50}`, seed: `${i}`, tokens: 3 }),
            { concurrency: 100, discard: true }
          ).pipe(
            // The scheduler takes one more turn to see that nobody asks any more.
            Effect.andThen(Effect.repeat(Effect.yieldNow, { times: 20 }))
          )
        yield* round(10)
        const before = yield* device.memory
        yield* round(1000)
        assert.deepStrictEqual(yield* device.memory, before)
        assert.strictEqual(yield* scheduler.usedBlocks, 0)
      }).pipe(provide))
  })
}

describe.skipIf(noModels !== undefined)(`sessions on ${fastest.name}`, () => {
  const provide = Effect.provide([fastest.layer, NodeServices.layer])

  it.effect("a session continues through appended tokens as a whole context would", () =>
    Effect.gen(function*() {
      const { device, network, scheduler } = yield* start(stories)
      const session = yield* scheduler.session({ promptKey: "p", sample: 0, ids: prompt, seed: "s" })
      const parts: Array<Int32Array> = [prompt]
      const model: Array<number> = []
      for (
        const extra of [[411, 7, 300], [], [20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37]]
      ) {
        const generation = yield* session.generate({ maxTokens: 9, sampling: onPolicy, stop: [] })
        assert.deepStrictEqual(generation.logProbs, generation.modelLogProbs)
        yield* session.append(Int32Array.from(extra))
        parts.push(generation.ids, Int32Array.from(extra))
        model.push(...generation.modelLogProbs)
      }
      const before = yield* scheduler.computedTokens
      yield* session.generate({ maxTokens: 1, sampling: greedy, stop: [] })
      assert.strictEqual((yield* scheduler.computedTokens) - before, 19)
      const whole = Int32Array.from(parts.flatMap((part) => [...part]))
      const [score] = yield* Scoring.logProbs(device, network, [whole], { temperature: 1, maxTokens: 4096 })
      let position = 0
      let drawn = 0
      parts.forEach((part, i) => {
        if (i % 2 === 1) part.forEach((_, t) => assert.closeTo(score!.logProbs[position + t]!, model[drawn++]!, 2e-4))
        position += part.length
      })
    }).pipe(provide))

  it.effect("a prompt shared by a group is computed once", () =>
    Effect.gen(function*() {
      const { scheduler } = yield* start(stories)
      const long = Int32Array.from({ length: 100 }, (_, i) => 3 + i % 200)
      const alone = yield* sampled(scheduler, { ids: long, key: "a", seed: "x", tokens: 6, sampling: greedy })
      const before = yield* scheduler.computedTokens
      const group = yield* Effect.forEach(
        Array.from({ length: 8 }),
        () => sampled(scheduler, { ids: long, key: "g", seed: "x", tokens: 6, sampling: greedy }),
        { concurrency: "unbounded" }
      )
      for (const { ids } of group) assert.deepStrictEqual(ids, alone.ids)
      // The prompt once, its last token for each of the others, and 5 tokens fed back for each of the 8.
      assert.strictEqual((yield* scheduler.computedTokens) - before, 100 + 7 + 8 * 5)
      assert.strictEqual(yield* scheduler.usedBlocks, 0)
    }).pipe(provide))

  it.effect("stop strings end a generation wherever tokens end, and the completing token is kept", () =>
    Effect.gen(function*() {
      const { scheduler } = yield* start(stories)
      const session = yield* scheduler.session({ promptKey: "p", sample: 0, ids: prompt, seed: "s" })
      const free = yield* session.generate({ maxTokens: 30, sampling: greedy, stop: [] })
      // Each id decodes to two letters: a stop string from the second letter of one token to the first of the next.
      const stop = free.text.slice(11, 13)
      const end = free.text.indexOf(stop) + 2
      const again = yield* scheduler.session({ promptKey: "p", sample: 1, ids: prompt, seed: "s" })
      const stopped = yield* again.generate({ maxTokens: 30, sampling: greedy, stop: [stop] })
      assert.strictEqual(stopped.finish, "stop")
      assert.strictEqual(stopped.ids.length, Math.ceil(end / 2))
      assert.strictEqual(stopped.text.length - stopped.surplus.length, end)
    }).pipe(provide))

  it.effect("a context that is too long, a token that does not exist and a full cache have errors of their own", () =>
    Effect.gen(function*() {
      const { scheduler } = yield* start(stories, { cacheTokens: 64, maxCacheTokens: 64 })
      const open = (ids: Int32Array) => scheduler.session({ promptKey: "p", sample: 0, ids, seed: "s" })
      assert.strictEqual((yield* Effect.flip(open(new Int32Array(513))))._tag, "ContextOverflow")
      assert.include((yield* Effect.flip(open(Int32Array.of(3, 512)))).message, "token id 512")
      const session = yield* open(Int32Array.of(1, 2))
      assert.strictEqual((yield* Effect.flip(session.append(new Int32Array(511))))._tag, "ContextOverflow")
      const full = yield* Effect.flip(session.generate({ maxTokens: 500, sampling: greedy, stop: [] }))
      assert.strictEqual(full._tag, "OutOfDeviceMemory")
      assert.strictEqual(full.message.includes("out of memory"), true)
    }).pipe(provide))

  it.effect("a session that generates, and one that has ended, refuse further calls", () =>
    Effect.gen(function*() {
      const { scheduler } = yield* start(stories)
      const scope = yield* Scope.make()
      const session = yield* scheduler.session({ promptKey: "p", sample: 0, ids: prompt, seed: "s" }).pipe(
        Scope.provide(scope)
      )
      const generate = session.generate({ maxTokens: 20, sampling: greedy, stop: [] })
      const first = yield* Effect.forkChild(generate, { startImmediately: true })
      for (const call of [generate, session.append(Int32Array.of(3))]) {
        assert.include((yield* Effect.flip(Effect.asVoid(call))).message, "the session is generating")
      }
      assert.strictEqual((yield* Fiber.join(first)).ids.length, 20)
      const waiting = yield* Effect.forkChild(Effect.flip(generate), { startImmediately: true })
      yield* Scope.close(scope, Exit.void)
      assert.include((yield* Fiber.join(waiting)).message, "the session has ended")
      assert.include((yield* Effect.flip(generate)).message, "the session has ended")
      assert.strictEqual(yield* scheduler.usedBlocks, 0)
    }).pipe(provide))

  it.effect("an interrupted generation frees its blocks with the session", () =>
    Effect.gen(function*() {
      const { scheduler } = yield* start(stories)
      const fiber = yield* Effect.forkChild(
        sampled(scheduler, { ids: prompt, key: "p", seed: "s", tokens: 400 }),
        { startImmediately: true }
      )
      while ((yield* scheduler.usedBlocks) === 0) yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* scheduler.usedBlocks, 0)
    }).pipe(provide))
})

describe("random numbers by position", () => {
  it("are uniform, unlike between seeds and between positions", () => {
    const bins = new Float64Array(64)
    const draws = 100_000
    for (let i = 0; i < draws; i++) bins[Math.floor(CounterRandom.uniform(CounterRandom.key(`s${i % 10}`), i) * 64)]!++
    const chiSquare = bins.reduce((sum, count) => sum + (count - draws / 64) ** 2 / (draws / 64), 0)
    // 63 degrees of freedom: mean 63, standard deviation 11.2.
    assert.isBelow(chiSquare, 63 + 5 * 11.2)
    assert.notStrictEqual(
      CounterRandom.uniform(CounterRandom.key("a"), 0),
      CounterRandom.uniform(CounterRandom.key("b"), 0)
    )
  })
})
