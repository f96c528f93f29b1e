/**
 * An engine that runs elsewhere, asked through the RPC group.
 *
 * @since 0.1.0
 */
import { Effect, Option, type Scope } from "effect"
import type { RpcClient, RpcClientError } from "effect/rpc"
import { DeviceFailed } from "../../../services/Device.ts"
import { type LearnerError, LearnerUnavailable } from "../../../services/Optimizer.ts"
import { type PolicyError, type PolicySession, PolicyUnavailable } from "../../../services/Policy.ts"
import type { EngineServices } from "./Engine.ts"
import type { EngineRpcs, StartError, StartOptions } from "./EngineRpcs.ts"

/**
 * @category models
 * @since 0.1.0
 */
export type EngineClient = RpcClient.FromGroup<typeof EngineRpcs, RpcClientError.RpcClientError>

const lost = (error: RpcClientError.RpcClientError): string => `the engine's thread does not answer: ${error.message}`

const policyErrors = <A>(
  effect: Effect.Effect<A, PolicyError | RpcClientError.RpcClientError>
): Effect.Effect<A, PolicyError> =>
  Effect.catchTag(effect, "RpcClientError", (error) => Effect.fail(new PolicyUnavailable({ reason: lost(error) })))

const learnerErrors = <A>(
  effect: Effect.Effect<A, LearnerError | RpcClientError.RpcClientError>
): Effect.Effect<A, LearnerError> =>
  Effect.catchTag(effect, "RpcClientError", (error) => Effect.fail(new LearnerUnavailable({ reason: lost(error) })))

/**
 * Starts the engine on the other side and gives its services.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fn("EngineClient.make")(function*(
  client: EngineClient,
  options: StartOptions
): Effect.fn.Return<EngineServices, StartError> {
  const { config, contextLength } = yield* client.Start(options).pipe(
    Effect.catchTag(
      "RpcClientError",
      (error) => Effect.fail(new DeviceFailed({ device: options.device, reason: lost(error) }))
    )
  )
  const session: EngineServices["policy"]["session"] = Effect.fn("EngineClient.session")(function*(
    opened
  ): Effect.fn.Return<PolicySession, PolicyError, Scope.Scope> {
    const id = yield* Effect.acquireRelease(
      policyErrors(client.Open({ options: opened })),
      (id) => Effect.ignore(client.Close({ session: id }))
    )
    return {
      append: (ids) => policyErrors(client.Append({ session: id, ids })),
      generate: (generate) => policyErrors(client.Generate({ session: id, options: generate }))
    }
  })
  return {
    config,
    policy: {
      contextLength,
      version: Effect.orDie(client.Version()),
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
    readWeight: (tensor) =>
      Effect.catchTag(
        client.ReadWeight(tensor),
        "RpcClientError",
        (error) => Effect.fail(new DeviceFailed({ device: options.device, reason: lost(error) }))
      )
  }
})
