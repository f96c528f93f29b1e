/**
 * An engine that runs elsewhere, asked through the RPC group.
 *
 * @since 0.1.0
 */
import { Effect, Fiber, Option, type Scope, Stream } from "effect"
import { type RpcClient, RpcClientError } from "effect/rpc"
import { DeviceFailed } from "../../../services/Device.ts"
import { LearnerUnavailable } from "../../../services/Optimizer.ts"
import {
  type Generation,
  type OnText,
  type PolicyError,
  type PolicySession,
  PolicyUnavailable
} from "../../../services/Policy.ts"
import type { EngineRpcs, Spoken, StartError, StartOptions } from "./EngineRpcs.ts"
import type { EngineServices } from "./EngineServices.ts"

/**
 * @category models
 * @since 0.1.0
 */
export type EngineClient = RpcClient.FromGroup<typeof EngineRpcs, RpcClientError.RpcClientError>

const isLost = (error: unknown): error is RpcClientError.RpcClientError =>
  error instanceof RpcClientError.RpcClientError

/**
 * A call that whoever interrupts it need not wait for: the other side hears of it when its computation lets it, which may
 * be seconds later.
 */
const forgettable = <A, E>(call: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      Effect.forkDetach(Effect.interruptible(call)),
      (fiber) => Effect.onInterrupt(restore(Fiber.join(fiber)), () => Effect.sync(() => fiber.interruptUnsafe()))
    )
  )

/** Tells the pieces of a generation and answers with the whole. */
const followed = Effect.fnUntraced(function*<E>(spoken: Stream.Stream<Spoken, E>, onText: OnText) {
  const whole: Array<Generation> = []
  yield* Stream.runForEach(
    spoken,
    (part) => "piece" in part ? onText(part.piece) : Effect.sync(() => whole.push(part.generation))
  )
  const [generation] = whole
  return generation ??
    (yield* new PolicyUnavailable({ reason: "the engine's thread ended a generation without a result" }))
})

/**
 * Starts the engine on the other side and gives its services. `ended` tells why the other side has ended, when it has: it
 * fails every call then, those under way included.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fn("EngineClient.make")(function*(
  client: EngineClient,
  options: StartOptions,
  ended: Effect.Effect<string> = Effect.never
): Effect.fn.Return<EngineServices, StartError> {
  /** A call whose loss of the other side is an error of the caller's kind, and which nobody has to wait for. */
  const orLost =
    <Lost>(toError: (reason: string) => Lost) =>
    <A, E>(call: Effect.Effect<A, E | RpcClientError.RpcClientError>): Effect.Effect<A, E | Lost> =>
      call.pipe(
        Effect.catchIf(
          isLost,
          (error) => Effect.fail(toError(`the engine's thread does not answer: ${error.message}`))
        ),
        Effect.raceFirst(
          Effect.flatMap(ended, (reason) => Effect.fail(toError(`the engine's thread has ended: ${reason}`)))
        ),
        forgettable
      )
  const policyErrors = orLost((reason) => new PolicyUnavailable({ reason }))
  const learnerErrors = orLost((reason) => new LearnerUnavailable({ reason }))
  const deviceErrors = orLost((reason) => new DeviceFailed({ device: options.device, reason }))

  const { config, contextLength } = yield* deviceErrors(client.Start(options))
  let version = 0
  const session: EngineServices["policy"]["session"] = Effect.fn("EngineClient.session")(function*(
    opened
  ): Effect.fn.Return<PolicySession, PolicyError, Scope.Scope> {
    // who leaves waits neither for its beginning nor for its end, and both take place all the same
    const opening = yield* Effect.forkDetach(policyErrors(client.Open({ options: opened })), { startImmediately: true })
    yield* Effect.addFinalizer(() =>
      Effect.asVoid(Effect.forkDetach(
        Effect.ignore(Effect.flatMap(Fiber.join(opening), (id) => policyErrors(client.Close({ session: id })))),
        { startImmediately: true }
      ))
    )
    const id = yield* Fiber.join(opening)
    return {
      append: (ids) => policyErrors(client.Append({ session: id, ids })),
      generate: (generate, onText) =>
        policyErrors(
          onText === undefined
            ? client.Generate({ session: id, options: generate })
            : followed(client.GenerateAloud({ session: id, options: generate }), onText)
        )
    }
  })
  return {
    config,
    policy: {
      contextLength,
      // An engine that has ended keeps the version that it was last known to have.
      version: policyErrors(client.Version()).pipe(
        Effect.tap((now) => Effect.sync(() => version = now)),
        Effect.orElseSucceed(() => version)
      ),
      session,
      logProbs: (sequences, { temperature = 1 } = {}) =>
        policyErrors(client.LogProbs({ of: "policy", sequences, temperature }))
    },
    optimizer: {
      update: (batch, update) => learnerErrors(client.Update({ batch, options: update })),
      state: learnerErrors(client.State({ of: "actor" })),
      restore: (state) => learnerErrors(client.Restore({ of: "actor", state }))
    },
    critic: options.critic !== true ? Option.none() : Option.some({
      values: (sequences) => learnerErrors(client.Values({ sequences })),
      update: (batch, update) => learnerErrors(client.UpdateCritic({ batch, options: update })),
      state: learnerErrors(client.State({ of: "critic" })),
      restore: (state) => learnerErrors(client.Restore({ of: "critic", state }))
    }),
    reference: options.reference !== true ? Option.none() : Option.some({
      logProbs: (sequences, { temperature = 1 } = {}) =>
        policyErrors(client.LogProbs({ of: "reference", sequences, temperature }))
    }),
    readWeight: (tensor) => deviceErrors(client.ReadWeight(tensor))
  }
})
