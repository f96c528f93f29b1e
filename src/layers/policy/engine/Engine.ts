/**
 * Everything that one set of parameters does: sample, score, learn.
 *
 * @since 0.1.0
 */
import { Effect, Option, type Scope, Stream } from "effect"
import { contextLength, type ModelConfig } from "../../../domain/ModelConfig.ts"
import type { Critic } from "../../../services/Critic.ts"
import { Device, type DeviceError } from "../../../services/Device.ts"
import type { ReferencePolicy } from "../../../services/ReferencePolicy.ts"
import type { Tokenizer } from "../../../services/Tokenizer.ts"
import * as CriticLearner from "./CriticLearner.ts"
import type { EngineServices } from "./EngineServices.ts"
import * as Learner from "./Learner.ts"
import * as Network from "./Network.ts"
import type { ParameterMismatch } from "./ParameterMismatch.ts"
import type { NamedWeights } from "./Parameters.ts"
import * as PolicyLearner from "./PolicyLearner.ts"
import * as Scheduler from "./Scheduler.ts"
import * as Scoring from "./Scoring.ts"
import * as Snapshot from "./Snapshot.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface EngineOptions extends Scheduler.SchedulerOptions {
  /** Whether to hold a critic, which starts from the same weights. Default false. */
  readonly critic?: boolean | undefined
  /** Whether to hold a frozen copy of the first weights for a KL term. Default false. */
  readonly reference?: boolean | undefined
  /** Tokens that are scored together. Default 8192. */
  readonly scoreTokens?: number | undefined
  /** Keep each layer's input only in training, always. Default false: where the memory asks for it. */
  readonly checkpointing?: boolean | undefined
}

/**
 * An engine in this thread.
 *
 * @category models
 * @since 0.1.0
 */
export interface LocalEngine extends EngineServices {
  readonly scheduler: Scheduler.Scheduler
}

/**
 * Loads a model and starts generating for whoever asks.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fn("Engine.make")(function*<E>(
  weights: { readonly config: ModelConfig; readonly tensors: Stream.Stream<NamedWeights, E> },
  tokenizer: Tokenizer["Service"],
  options: EngineOptions = {}
): Effect.fn.Return<LocalEngine, E | DeviceError | ParameterMismatch, Device | Scope.Scope> {
  const device = yield* Device
  const { config } = weights
  const scoreTokens = options.scoreTokens ?? 8192
  const network = yield* Network.make(config, weights.tensors)
  let version = 0
  const actor = yield* Learner.make("actor", device, network, options)
  const scheduler = yield* Scheduler.make(device, network, tokenizer, () => version, options)
  const scorer =
    (network_: typeof network): ReferencePolicy["Service"]["logProbs"] => (sequences, { temperature = 1 } = {}) =>
      Scoring.logProbs(device, network_, sequences, { temperature, maxTokens: scoreTokens })

  const makeCritic = Effect.fnUntraced(function*() {
    const all = Stream.concat(weights.tensors, Stream.fromIterable(CriticLearner.head(config)))
    const body = yield* Network.make(config, all, { specs: CriticLearner.specs(config) })
    const learner = yield* Learner.make("critic", device, body, options)
    return {
      values: (sequences) => CriticLearner.values(learner, sequences, scoreTokens),
      update: (batch, update) => Effect.map(CriticLearner.update(learner, batch, update), (metrics) => ({ metrics })),
      state: Snapshot.state(learner, () => 0),
      restore: (state) => Effect.asVoid(Snapshot.restore(learner, state))
    } satisfies Critic["Service"]
  })
  const critic = options.critic === true ? Option.some(yield* makeCritic()) : Option.none()
  const reference = options.reference !== true
    ? Option.none()
    : Option.some({ logProbs: scorer(yield* Network.make(config, weights.tensors)) })

  return {
    scheduler,
    critic,
    reference,
    policy: {
      contextLength: contextLength(config),
      version: Effect.sync(() => version),
      session: scheduler.session,
      logProbs: scorer(network)
    },
    optimizer: {
      update: (batch, update) =>
        PolicyLearner.update(actor, batch, update, () => {
          version++
        }).pipe(Effect.map((metrics) => ({ metrics, policyVersion: version }))),
      state: Snapshot.state(actor, () => version),
      restore: (state) =>
        Effect.map(Snapshot.restore(actor, state), (saved) => {
          version = saved
        })
    },
    config,
    readWeight: ({ name }) => Network.readWeight(device, network, name)
  }
})
