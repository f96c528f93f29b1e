/**
 * How much of a device's memory a model takes, worked out before anything is loaded.
 *
 * @since 0.1.0
 */
import { type ModelConfig, queryKeyNorm } from "./ModelConfig.ts"
import { parameterCount } from "./ModelTensors.ts"

/**
 * What is to run. `sequenceTokens` is the length of the longest trajectory, `sessions` how many are generated at once,
 * `limitBytes` what the device has. With `bfloat16` storage weights are there twice: float32 for the optimizer,
 * bfloat16 for everything else.
 *
 * @category models
 * @since 0.1.0
 */
export interface MemoryPlanOptions {
  readonly storage: "float32" | "bfloat16"
  readonly limitBytes: number
  readonly sequenceTokens: number
  readonly sessions: number
  /** A frozen copy of the first weights, for a KL term. */
  readonly reference: boolean
  /** A second network with its own gradients and optimizer state, for PPO. */
  readonly critic: boolean
  /** Sampling only: no gradients, no optimizer. */
  readonly training: boolean
}

/**
 * Bytes by what they are for, and what fits beside them. Token counts are 0 where nothing fits.
 *
 * @category models
 * @since 0.1.0
 */
export interface MemoryPlan {
  readonly parameters: number
  readonly weights: number
  readonly gradients: number
  readonly optimizer: number
  readonly reference: number
  readonly critic: number
  /** Logits of a tile, the head's gradient, one layer's own gradients. */
  readonly workspace: number
  readonly cachePerToken: number
  /** The cache for all sessions at full length. */
  readonly cache: number
  /** Activations of one token in training: all of them, or each layer's input only (activation checkpointing). */
  readonly activationsPerToken: { readonly everything: number; readonly inputs: number }
  /** Everything but the activations of a micro-batch. */
  readonly fixed: number
  /** Tokens of the largest micro-batch that fits. */
  readonly microBatchTokens: { readonly everything: number; readonly inputs: number }
  readonly fits: boolean
  /** What to change, where it does not fit. */
  readonly advice: ReadonlyArray<string>
}

/** Logits that are held at once, as on a card: a quarter of a gigabyte's worth of float32. */
const tileElements = 1 << 28

const gib = (bytes: number): string => (bytes / 2 ** 30).toFixed(1)

/**
 * Plans a run.
 *
 * @category constructors
 * @since 0.1.0
 */
export const plan = (config: ModelConfig, options: MemoryPlanOptions): MemoryPlan => {
  const { critic, limitBytes, reference, sequenceTokens, sessions, storage, training } = options
  const { headDim, heads, hiddenSize, intermediateSize, keyValueHeads, layers, vocabularySize } = config
  const width = storage === "bfloat16" ? 2 : 4
  const parameters = parameterCount(config)
  const weights = parameters * (storage === "bfloat16" ? 6 : 4)
  const gradients = training ? parameters * width : 0
  const optimizer = training ? parameters * 8 : 0
  const attention = (2 * heads + 2 * keyValueHeads) * headDim
  const normed = queryKeyNorm(config) ? (heads + keyValueHeads) * headDim : 0
  const perLayer = (4 * hiddenSize + attention + normed + 3 * intermediateSize) * width + 4 * heads
  const perLogits = Math.min(tileElements, vocabularySize * sequenceTokens) * (4 + width)
  const tile = training ? perLogits + vocabularySize * hiddenSize * 8 : Math.max(sessions, 1) * vocabularySize * 4
  const cachePerToken = 2 * layers * keyValueHeads * headDim * width
  const cache = sessions * sequenceTokens * cachePerToken
  const activationsPerToken = {
    everything: layers * perLayer + 2 * perLayer,
    inputs: layers * hiddenSize * width + 3 * perLayer
  }
  const parts = {
    parameters,
    weights,
    gradients,
    optimizer,
    reference: reference ? weights : 0,
    critic: critic ? weights + gradients + optimizer : 0,
    workspace: tile,
    cachePerToken,
    cache,
    activationsPerToken
  }
  const fixed = weights + gradients + optimizer + parts.reference + parts.critic + tile + cache
  const room = Math.max(0, limitBytes - fixed)
  const microBatchTokens = {
    everything: training ? Math.floor(room / activationsPerToken.everything) : 0,
    inputs: training ? Math.floor(room / activationsPerToken.inputs) : 0
  }
  const fits = training ? microBatchTokens.inputs >= sequenceTokens : fixed <= limitBytes
  return { ...parts, fixed, microBatchTokens, fits, advice: fits ? [] : adviceFor(parts, options, fixed) }
}

const adviceFor = (
  parts: Omit<MemoryPlan, "fixed" | "microBatchTokens" | "fits" | "advice">,
  options: MemoryPlanOptions,
  fixed: number
): ReadonlyArray<string> => {
  const { cachePerToken, sessions } = { ...parts, sessions: options.sessions }
  const needed = fixed + (options.training ? options.sequenceTokens * parts.activationsPerToken.inputs : 0)
  const excess = needed - options.limitBytes
  const advice = [`${gib(needed)} GiB are needed, ${gib(options.limitBytes)} GiB are there`]
  const perSession = cachePerToken * options.sequenceTokens
  if (perSession > 0 && parts.cache > excess) {
    const fewer = Math.max(1, Math.floor(sessions - excess / perSession))
    advice.push(`generate for ${fewer} sessions at a time instead of ${sessions}`)
  }
  if (options.critic) advice.push(`use an algorithm without a critic, such as GRPO: saves ${gib(parts.critic)} GiB`)
  if (options.reference) advice.push(`train without a KL term: saves ${gib(parts.reference)} GiB`)
  if (options.storage === "float32") advice.push("store in bfloat16 (a card): halves activations, cache and gradients")
  if (options.training) advice.push("shorten trajectories, or take a smaller model")
  else advice.push("take a smaller model")
  return advice
}
