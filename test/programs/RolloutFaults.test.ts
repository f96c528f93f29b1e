import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Ref, Stream, Tracer } from "effect"
import { TestClock } from "effect/testing"
import * as Group from "../../src/domain/Group.ts"
import * as PolicyScripted from "../../src/layers/policy/PolicyScripted.ts"
import * as Rollout from "../../src/programs/Rollout.ts"
import { ContextOverflow, Policy } from "../../src/services/Policy.ts"
import {
  Retriever,
  RetrieverMalformedJson,
  RetrieverRejected,
  RetrieverTimeout,
  RetrieverUnavailable,
  RetrieverUnexpectedShape
} from "../../src/services/Retriever.ts"
import { bodies, prompt, prompts, retriever, Tokens } from "../support/rollouts.ts"

const scripted = (...script: readonly [string, ...ReadonlyArray<string>]) =>
  PolicyScripted.layer(script).pipe(Layer.provideMerge(Tokens))

const searching = scripted("<search>x</search>", "<search>y</search>", "<answer>A</answer>")

const tag = (outcome: { readonly _tag: string; readonly error?: unknown }) =>
  outcome._tag === "Failed" && typeof outcome.error === "object" && outcome.error !== null && "_tag" in outcome.error
    ? outcome.error._tag
    : outcome._tag

describe("a rollout whose retriever", () => {
  it.effect("hangs ends at its deadline", () =>
    Effect.gen(function*() {
      const fiber = yield* Rollout.run(prompt("p"), 0, { deadline: "30 seconds" }).pipe(
        Effect.provide(searching),
        Effect.provide(retriever(() => Effect.never)),
        Effect.forkChild
      )
      yield* TestClock.adjust("29 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      const outcome = yield* Fiber.join(fiber)
      assert.strictEqual(tag(outcome), "RolloutDeadlineExceeded")
    }))

  it.effect("answers slowly still completes within the deadline", () =>
    Effect.gen(function*() {
      const fiber = yield* Rollout.run(prompt("p"), 0, { deadline: "30 seconds" }).pipe(
        Effect.provide(searching),
        Effect.provide(retriever((query, topK) => Effect.delay(Effect.succeed(bodies(query, topK)), "10 seconds"))),
        Effect.forkChild
      )
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(tag(yield* Fiber.join(fiber)), "Completed")
    }))

  it.effect.each([
    new RetrieverTimeout({ retriever: "test", milliseconds: 5 }),
    new RetrieverUnavailable({ retriever: "test", reason: "connection refused" }),
    new RetrieverRejected({ retriever: "test", status: 500, body: "boom" }),
    new RetrieverMalformedJson({ retriever: "test", body: "{\"resu", reason: "unexpected end" }),
    new RetrieverUnexpectedShape({ retriever: "test", reason: "no result" })
  ])("fails with $_tag fails with that error", (error) =>
    Effect.gen(function*() {
      const outcome = yield* Rollout.run(prompt("p"), 3)
      if (outcome._tag !== "Failed") return assert.fail("it completed")
      assert.strictEqual(outcome.error, error)
      assert.strictEqual(outcome.promptKey, "p")
      assert.strictEqual(outcome.sample, 3)
      assert.strictEqual(outcome.questionId, "q1")
      assert.isFalse("segments" in outcome || "trajectory" in outcome || "reward" in outcome)
    }).pipe(Effect.provide(searching), Effect.provide(retriever(() => Effect.fail(error)))))

  it.effect("dies between turns fails although its first search was answered", () =>
    Effect.gen(function*() {
      const asked = yield* Ref.make(0)
      const outcome = yield* Rollout.run(prompt("p"), 0).pipe(
        Effect.provide(searching),
        Effect.provide(retriever((query, topK) =>
          Effect.flatMap(Ref.updateAndGet(asked, (n) => n + 1), (n) =>
            n === 1
              ? Effect.succeed(bodies(query, topK))
              : Effect.fail(new RetrieverUnavailable({ retriever: "test", reason: "hung up" })))
        ))
      )
      assert.strictEqual(tag(outcome), "RetrieverUnavailable")
    }))
})

describe("a rollout whose policy fails", () => {
  it.effect("is a failed rollout", () =>
    Effect.gen(function*() {
      const outcome = yield* Rollout.run(prompt("p"), 0).pipe(
        Effect.provide(Layer.mergeAll(
          Layer.mock(Policy, {
            contextLength: 10_000,
            session: () => Effect.fail(new ContextOverflow({ tokens: 2, limit: 1 }))
          }),
          Tokens,
          retriever()
        ))
      )
      assert.strictEqual(tag(outcome), "ContextOverflow")
    }))
})

describe("groups", () => {
  const flaky = (failures: ReadonlySet<string>) =>
    Effect.gen(function*() {
      const scripts = PolicyScripted.layer(({ promptKey, sample, turn }) =>
        turn === 0 ? `<search>${promptKey}#${sample}</search>` : "<answer>A</answer>"
      ).pipe(Layer.provideMerge(Tokens))
      return yield* Rollout.groups(prompts(3), { groupSize: 3, order: "input" }).pipe(
        Stream.runCollect,
        Effect.provide(scripts),
        Effect.provide(retriever((query, topK) =>
          failures.has(query)
            ? Effect.fail(new RetrieverRejected({ retriever: "test", status: 500, body: "" }))
            : Effect.succeed(bodies(query, topK))
        ))
      )
    })

  it.effect("are complete, degraded with reasons, or failed", () =>
    Effect.gen(function*() {
      const [complete, degraded, failed] = yield* flaky(new Set(["p1#1", "p2#0", "p2#1", "p2#2"]))
      assert.strictEqual(complete?._tag, "Complete")
      if (degraded?._tag !== "Degraded" || failed?._tag !== "Failed") return assert.fail("other kinds of groups")
      assert.deepStrictEqual(degraded.trajectories.map((trajectory) => trajectory.sample), [0, 2])
      assert.deepStrictEqual(degraded.failures.map((failure) => [failure.sample, tag(failure)]), [[
        1,
        "RetrieverRejected"
      ]])
      assert.strictEqual(failed.failures.length, 3)

      const sizes = (policy: Group.GroupPolicy) =>
        [complete, degraded, failed].map((group) => {
          const selected = group === undefined ? undefined : Group.select(group, policy)
          return selected?._tag === "Some" ? selected.value.length : 0
        })
      assert.deepStrictEqual(sizes({ _tag: "Drop" }), [3, 0, 0])
      assert.deepStrictEqual(sizes({ _tag: "Minimum", trajectories: 2 }), [3, 2, 0])
      assert.deepStrictEqual(sizes({ _tag: "Minimum", trajectories: 3 }), [3, 0, 0])
    }))
})

describe("the stream", () => {
  it.effect("starts no more rollouts than its consumer has room for", () =>
    Effect.gen(function*() {
      const started = yield* Ref.make(0)
      const policy = Layer.effect(
        Policy,
        Effect.map(Policy, (policy) =>
          Policy.of({
            ...policy,
            session: (options) => Effect.andThen(Ref.update(started, (n) => n + 1), policy.session(options))
          }))
      ).pipe(Layer.provideMerge(scripted("<answer>A</answer>")))
      const consumed = yield* Ref.make(0)
      const fiber = yield* Rollout.outcomes(prompts(1000), { concurrency: 8 }).pipe(
        Stream.mapEffect(() => Effect.andThen(Effect.sleep("1 second"), Ref.update(consumed, (n) => n + 1))),
        Stream.runDrain,
        Effect.provide(Layer.mergeAll(policy, retriever())),
        Effect.forkChild
      )
      for (let second = 1; second <= 20; second++) {
        yield* TestClock.adjust("1 second")
        const ahead = (yield* Ref.get(started)) - (yield* Ref.get(consumed))
        // in flight and waiting to be consumed: a small multiple of the concurrency, not the thousand
        assert.isAtMost(ahead, 40)
      }
      assert.isAtLeast(yield* Ref.get(consumed), 19)
      yield* Fiber.interrupt(fiber)
    }))

  it.effect("interrupted, it interrupts every search in flight and frees every session", () =>
    Effect.gen(function*() {
      const open = yield* Ref.make(0)
      const searching = yield* Ref.make(0)
      const policy = Layer.effect(
        Policy,
        Effect.map(Policy, (policy) =>
          Policy.of({
            ...policy,
            session: (options) =>
              Effect.acquireRelease(Ref.update(open, (n) => n + 1), () => Ref.update(open, (n) => n - 1)).pipe(
                Effect.andThen(policy.session(options))
              )
          }))
      ).pipe(Layer.provideMerge(scripted("<search>x</search>")))
      const hanging = Layer.succeed(
        Retriever,
        Retriever.fromSearch("hanging", () =>
          Ref.update(searching, (n) => n + 1).pipe(
            Effect.andThen(Effect.never),
            Effect.onInterrupt(() => Ref.update(searching, (n) => n - 1))
          ))
      )
      const fiber = yield* Rollout.outcomes(prompts(200), { concurrency: 64 }).pipe(
        Stream.runDrain,
        Effect.provide(Layer.mergeAll(policy, hanging)),
        Effect.forkChild
      )
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Ref.get(open), 64)
      assert.strictEqual(yield* Ref.get(searching), 64)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* Ref.get(open), 0)
      assert.strictEqual(yield* Ref.get(searching), 0)
    }))

  it.effect("traces rollout, turn, generation and search", () =>
    Effect.gen(function*() {
      const spans: Array<Tracer.Span> = []
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          spans.push(span)
          return span
        }
      })
      yield* Rollout.run(prompt("p"), 0, { deadline: Duration.minutes(1) }).pipe(
        Effect.provide(scripted("<search>x</search>", "<answer>A</answer>")),
        Effect.provide(retriever()),
        Effect.withTracer(tracer)
      )
      const parent = (span: Tracer.Span) =>
        span.parent._tag === "Some" && span.parent.value._tag === "Span" ? span.parent.value.name : ""
      const pairs = spans.map((span) => `${parent(span)} > ${span.name}`)
      assert.deepStrictEqual(pairs.filter((pair) => pair.includes("Rollout")), [
        " > Rollout.run",
        "Rollout.run > Rollout.turn",
        "Rollout.turn > Rollout.generate",
        "Rollout.turn > Rollout.search",
        "Rollout.run > Rollout.turn",
        "Rollout.turn > Rollout.generate"
      ])
      const attributes = (name: string) =>
        Object.fromEntries(spans.find((span) => span.name === name)?.attributes ?? [])
      assert.deepStrictEqual(attributes("Rollout.search"), { query: "x", topK: 3, documents: 3 })
      assert.deepStrictEqual(attributes("Rollout.generate"), { tokens: 18, finish: "stop", policyVersion: 0 })
      assert.deepStrictEqual(attributes("Rollout.run"), {
        promptKey: "p",
        sample: 0,
        question: "q1",
        ending: "answer",
        searches: 1
      })
    }))
})
