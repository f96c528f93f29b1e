/**
 * The layers that a run configuration stands for.
 *
 * @since 0.1.0
 */
import { Duration, Effect, type FileSystem, Layer, Option, type Path } from "effect"
import type { CliError } from "effect/cli"
import type { RunConfig } from "../domain/RunConfigSchema.ts"
import * as RunPlan from "../domain/RunPlan.ts"
import { shippedModel } from "../layers/assets.ts"
import * as CheckpointsFileSystem from "../layers/checkpoints/CheckpointsFileSystem.ts"
import * as Pretrained from "../layers/model/Pretrained.ts"
import * as PolicyEngine from "../layers/policy/PolicyEngine.ts"
import * as QuestionsFile from "../layers/questions/QuestionsFile.ts"
import * as RetrieverLunr from "../layers/retriever/RetrieverLunr.ts"
import * as RetrieverMemory from "../layers/retriever/RetrieverMemory.ts"
import * as RetrieverRandom from "../layers/retriever/RetrieverRandom.ts"
import * as RewardConfigured from "../layers/reward/RewardConfigured.ts"
import * as RunLogFileSystem from "../layers/runlog/RunLogFileSystem.ts"
import * as FairScheduler from "../programs/FairScheduler.ts"
import * as Rollout from "../programs/Rollout.ts"
import type { Retriever } from "../services/Retriever.ts"
import * as PathKind from "./pathKind.ts"
import { localLayer, retrieverLayer } from "./retrieverFlags.ts"
import type { RunFolder } from "./runFolder.ts"
import { userError } from "./userError.ts"

const friendly = <A, E extends Error, R>(layer: Layer.Layer<A, E, R>): Layer.Layer<A, CliError.UserError, R> =>
  Layer.catch(layer, (error) => Layer.effectContext(Effect.fail(userError(error))))

/**
 * Where the model of a configuration is.
 *
 * @category getters
 * @since 0.1.0
 */
export const modelOf = (config: RunConfig): string => config.model ?? shippedModel

/**
 * Policy, optimizer and tokenizer of a configuration, in a thread of their own; critic and reference policy where it uses
 * them to learn.
 *
 * @category layers
 * @since 0.1.0
 */
export const engineOf = (
  config: RunConfig,
  options?: {
    readonly learning?: boolean | undefined
    /** Tokens that the key-value cache may grow to. */
    readonly maxCacheTokens?: number | undefined
  }
) => {
  const learning = options?.learning ?? true
  const model = modelOf(config)
  const critic = learning && RunPlan.usesCritic(config)
  const reference = learning && RunPlan.usesReference(config)
  const engine = PolicyEngine.layer({
    model,
    device: config.device === "auto" ? "wasm" : config.device,
    critic,
    reference,
    ...(options?.maxCacheTokens === undefined ? {} : { maxCacheTokens: options.maxCacheTokens })
  })
  const withCritic = critic ? PolicyEngine.critic.pipe(Layer.provideMerge(engine)) : engine
  const whole = reference ? PolicyEngine.reference.pipe(Layer.provideMerge(withCritic)) : withCritic
  return friendly(Layer.merge(Pretrained.layerTokenizer(model), whole))
}

/**
 * The search engine of a configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const retrieverOf = (
  { retriever, rollout, seed }: RunConfig
): Layer.Layer<Retriever, CliError.UserError, FileSystem.FileSystem | Path.Path> => {
  const { corpus, kind, url } = retriever
  const cache = retriever.cache === 0 ? "off" : "memory"
  const cacheCapacity = retriever.cache
  const failure = (message: string, hint: string) => Layer.effectContext(Effect.fail(userError(message, hint)))
  if (!Rollout.asksEngine(rollout) && corpus === null && url === null) return RetrieverMemory.layer({})
  if (kind === "remote" && url === null) {
    return failure(
      "A run with a remote retriever needs its address: set retriever.url.",
      "For example --set retriever.url=http://127.0.0.1:8000/retrieve"
    )
  }
  if (kind !== "remote" && corpus === null) {
    return failure(
      "A run needs something to search: set retriever.corpus, or retriever.kind=remote with retriever.url.",
      "For example --set retriever.corpus=corpus.jsonl. \"search-r1 world\" makes questions and a corpus to learn in."
    )
  }
  if (kind === "random" && corpus !== null) {
    return localLayer(RetrieverRandom.layerFile(corpus, { seed }), { cache, cacheCapacity })
  }
  return retrieverLayer({
    corpus: kind === "remote" || kind === "index" ? Option.none() : Option.fromNullishOr(corpus),
    remote: kind === "remote" ? Option.fromNullishOr(url) : Option.none(),
    index: kind === "index" ? Option.fromNullishOr(corpus) : Option.none(),
    engine: kind === "bm25" ? "bm25" : "lunr",
    dialect: retriever.dialect,
    timeout: Option.some(Duration.seconds(retriever.timeoutSeconds)),
    retries: retriever.retries,
    rateLimit: Option.none(),
    cache,
    cacheCapacity
  }, { ways: PathKind.configured })
}

/**
 * What the evaluations of a configuration search, where that is not what the run searches.
 *
 * @category layers
 * @since 0.1.0
 */
export const evaluationRetrieverOf = (corpus: string) =>
  localLayer(RetrieverLunr.layerFile(corpus), { cache: "memory" })

/**
 * The training questions of a configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const questionsOf = (path: string, config: RunConfig) =>
  QuestionsFile.layer({ paths: [path], ...(config.questions.shuffle ? { seed: String(config.seed) } : {}) })

/**
 * Log and checkpoints of a run.
 *
 * @category layers
 * @since 0.1.0
 */
export const storageOf = (folder: RunFolder, config: RunConfig) =>
  Layer.mergeAll(
    friendly(RunLogFileSystem.layer(folder.log)),
    CheckpointsFileSystem.layer(folder.checkpoints, {
      keepLast: config.checkpoints.keepLast,
      keepBest: config.checkpoints.keepBest
    })
  )

/**
 * Everything that training asks for but its questions.
 *
 * @category layers
 * @since 0.1.0
 */
export const servicesOf = (folder: RunFolder, config: RunConfig) =>
  Layer.mergeAll(
    engineOf(config),
    retrieverOf(config),
    RewardConfigured.layer(config.reward, config.compat),
    storageOf(folder, config),
    FairScheduler.layer
  )
