/**
 * What an optimizer consumes: token sequences with everything that a loss needs at each token, cut into mini-batches
 * (one update each) and packed micro-batches (what the device holds at once).
 *
 * All per-token arrays have the shape `[tokens]` and are aligned by token position: index `t` speaks about `ids[t]`
 * given `ids[0..t)`. Position 0 has no prediction; no mask ever selects it.
 *
 * Sequences are made of scored trajectories, so a failed rollout cannot become one.
 *
 * @since 0.1.0
 */
import { Result, Schema } from "effect"
import type { ScoredTrajectory } from "./Outcome.ts"
import * as Prng from "./Prng.ts"
import * as TokenMask from "./TokenMask.ts"
import { sampledLogProbs, tokenIds } from "./Trajectory.ts"

/**
 * One sequence to learn from, plain data that may cross a thread boundary.
 *
 * @category models
 * @since 0.1.0
 */
export interface TrainingSequence {
  readonly promptKey: string
  readonly sample: number
  readonly ids: Int32Array
  /** 1 where the policy loss, the entropy bonus and the KL term look. */
  readonly lossMask: Uint8Array
  readonly advantages: Float32Array
  /** Under the policy just before the update. */
  readonly oldLogProbs: Float32Array
  /** Under the frozen reference policy. */
  readonly refLogProbs?: Float32Array
  /** Under the policy that sampled the tokens, by the engine that sampled them. */
  readonly behaviourLogProbs?: Float32Array
  /** 1 where the critic learns. */
  readonly valueMask?: Uint8Array
  /** `oldValues[t]` is the critic's value of the state in which token `t` is about to be written. */
  readonly oldValues?: Float32Array
  /** The critic's targets. */
  readonly returns?: Float32Array
}

/**
 * Two per-token arrays of one trajectory differ in length.
 *
 * @category errors
 * @since 0.1.0
 */
export class MisalignedTokens extends Schema.TaggedError<MisalignedTokens>()("MisalignedTokens", {
  promptKey: Schema.String,
  sample: Schema.Natural,
  field: Schema.String,
  tokens: Schema.Natural,
  found: Schema.Natural
}) {
  override get message() {
    return `${this.field} of ${this.promptKey} sample ${this.sample} holds ${this.found} values for ${this.tokens} tokens`
  }
}

/**
 * A number that the loss would use is NaN or infinite.
 *
 * @category errors
 * @since 0.1.0
 */
export class NonFiniteTokens extends Schema.TaggedError<NonFiniteTokens>()("NonFiniteTokens", {
  promptKey: Schema.String,
  sample: Schema.Natural,
  field: Schema.String,
  position: Schema.Natural
}) {
  override get message() {
    return `${this.field} of ${this.promptKey} sample ${this.sample} is not finite at token ${this.position}`
  }
}

/**
 * Why a training sequence cannot be made.
 *
 * @category errors
 * @since 0.1.0
 */
export const BatchError = Schema.Union([MisalignedTokens, NonFiniteTokens])

/**
 * @category errors
 * @since 0.1.0
 */
export type BatchError = typeof BatchError.Type

/**
 * The numbers of a trajectory's tokens, each `[tokens]`.
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenSignals {
  readonly advantages: Float32Array
  readonly oldLogProbs: Float32Array
  readonly refLogProbs?: Float32Array | undefined
  readonly oldValues?: Float32Array | undefined
  readonly returns?: Float32Array | undefined
}

/**
 * How trajectories become sequences.
 *
 * @category models
 * @since 0.1.0
 */
export interface SequenceOptions {
  /** Tokens that the policy learns from: `attention` trains on observations too (the paper's ablation). Default `loss`. */
  readonly lossScope?: TokenMask.MaskScope | undefined
  /** Tokens that the critic learns from (quirk Q31). Default `loss`. */
  readonly valueScope?: TokenMask.MaskScope | undefined
  /**
   * Whether to take the sampler's log-probabilities along, for importance sampling. They are left out where a sampled
   * token lacks one.
   */
  readonly behaviour?: boolean | undefined
}

const firstNonFinite = (values: Float32Array, mask: Uint8Array): number => {
  for (let position = 0; position < values.length; position++) {
    if (mask[position] === 1 && !Number.isFinite(values[position])) return position
  }
  return -1
}

/**
 * Makes the training sequence of a scored trajectory.
 *
 * @category constructors
 * @since 0.1.0
 */
export const sequence = (
  scored: ScoredTrajectory,
  signals: TokenSignals,
  options: SequenceOptions = {}
): Result.Result<TrainingSequence, BatchError> => {
  const { promptKey, sample, segments } = scored.trajectory
  const ids = tokenIds(segments)
  const lossMask = TokenMask.mask(segments, options.lossScope ?? "loss")
  const valueMask = TokenMask.mask(segments, options.valueScope ?? "loss")
  const checks: ReadonlyArray<readonly [string, Float32Array | undefined, Uint8Array]> = [
    ["advantages", signals.advantages, lossMask],
    ["oldLogProbs", signals.oldLogProbs, lossMask],
    ["refLogProbs", signals.refLogProbs, lossMask],
    ["oldValues", signals.oldValues, valueMask],
    ["returns", signals.returns, valueMask]
  ]
  for (const [field, values, mask] of checks) {
    if (values === undefined) continue
    if (values.length !== ids.length) {
      return Result.fail(
        new MisalignedTokens({ promptKey, sample, field, tokens: ids.length, found: values.length })
      )
    }
    const position = firstNonFinite(values, mask)
    if (position !== -1) return Result.fail(new NonFiniteTokens({ promptKey, sample, field, position }))
  }
  const behaviour = options.behaviour === true ? sampledLogProbs(segments) : undefined
  return Result.succeed({
    promptKey,
    sample,
    ids,
    lossMask,
    advantages: signals.advantages,
    oldLogProbs: signals.oldLogProbs,
    ...(signals.refLogProbs !== undefined && { refLogProbs: signals.refLogProbs }),
    ...(behaviour !== undefined && firstNonFinite(behaviour, lossMask) === -1 && { behaviourLogProbs: behaviour }),
    ...(signals.oldValues !== undefined && { valueMask, oldValues: signals.oldValues }),
    ...(signals.returns !== undefined && { returns: signals.returns })
  })
}

/**
 * Makes a sequence that is imitated as it stands (pre-training, supervised fine-tuning): with the `reinforce` surrogate
 * an advantage is the weight of its token's negative log-likelihood. `weights` default to 1 and are 0 where nothing is
 * to be learned.
 *
 * @category constructors
 * @since 0.1.0
 */
export const demonstration = (options: {
  readonly key: string
  readonly ids: Int32Array
  readonly weights?: Float32Array | undefined
}): TrainingSequence => {
  const { ids } = options
  const weights = options.weights ?? new Float32Array(ids.length).fill(1)
  const lossMask = Uint8Array.from(ids, (_, position) => position > 0 && weights[position] !== 0 ? 1 : 0)
  return {
    promptKey: options.key,
    sample: 0,
    ids,
    lossMask,
    advantages: weights,
    oldLogProbs: new Float32Array(ids.length)
  }
}

/**
 * What sums over a mini-batch are divided by, wherever its tokens end up: it makes gradient accumulation over
 * micro-batches exact.
 *
 * @category models
 * @since 0.1.0
 */
export interface Normaliser {
  /** Trained tokens of the mini-batch. */
  readonly tokens: number
  /** Sequences of the mini-batch with at least one trained token. */
  readonly sequences: number
  /** Tokens that the critic learns from. */
  readonly valueTokens: number
}

/**
 * The sequences of one update.
 *
 * @category models
 * @since 0.1.0
 */
export interface MiniBatch {
  readonly sequences: ReadonlyArray<TrainingSequence>
  readonly normaliser: Normaliser
}

/**
 * @category getters
 * @since 0.1.0
 */
export const normaliser = (sequences: ReadonlyArray<TrainingSequence>): Normaliser => {
  let [tokens, trained, valueTokens] = [0, 0, 0]
  for (const { lossMask, valueMask } of sequences) {
    const selected = TokenMask.count(lossMask)
    tokens += selected
    if (selected > 0) trained += 1
    if (valueMask !== undefined) valueTokens += TokenMask.count(valueMask)
  }
  return { tokens, sequences: trained, valueTokens }
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const miniBatch = (sequences: ReadonlyArray<TrainingSequence>): MiniBatch => ({
  sequences,
  normaliser: normaliser(sequences)
})

/**
 * How one step's sequences are cut into mini-batches, one update each.
 *
 * @category models
 * @since 0.1.0
 */
export interface MiniBatchOptions {
  /** What `size` counts, and what stays together: prompts with all their samples, or single trajectories (Q35). */
  readonly unit: "prompts" | "trajectories"
  /** Either this many mini-batches of nearly equal size, or mini-batches of this many units. */
  readonly split: { readonly by: "count"; readonly count: number } | { readonly by: "size"; readonly size: number }
  /** Shuffles the units first; without it their order is kept. */
  readonly shuffleSeed?: string | undefined
}

const byPrompt = (sequences: ReadonlyArray<TrainingSequence>): ReadonlyArray<ReadonlyArray<TrainingSequence>> => {
  const groups = new Map<string, Array<TrainingSequence>>()
  for (const sequence of sequences) {
    const group = groups.get(sequence.promptKey)
    if (group === undefined) groups.set(sequence.promptKey, [sequence])
    else group.push(sequence)
  }
  return [...groups.values()]
}

/**
 * Cuts sequences into mini-batches. Sequences without a trained token are left out, and with them mini-batches that
 * would hold nothing else: an update from nothing would still move the optimizer's moments.
 *
 * @category combinators
 * @since 0.1.0
 */
export const miniBatches = (
  sequences: ReadonlyArray<TrainingSequence>,
  options: MiniBatchOptions
): ReadonlyArray<MiniBatch> => {
  const trainable = sequences.filter((sequence) => sequence.lossMask.includes(1))
  let units: ReadonlyArray<ReadonlyArray<TrainingSequence>> = options.unit === "trajectories"
    ? trainable.map((sequence) => [sequence])
    : byPrompt(trainable)
  if (options.shuffleSeed !== undefined) units = Prng.shuffle(Prng.make(options.shuffleSeed), units)
  const { split } = options
  const parts = Math.max(
    1,
    Math.min(units.length, split.by === "count" ? Math.floor(split.count) : Math.ceil(units.length / split.size))
  )
  const bound = (part: number): number =>
    split.by === "count" ? Math.floor(part * units.length / parts) : Math.min(part * split.size, units.length)
  const batches: Array<MiniBatch> = []
  for (let part = 0; part < parts; part++) {
    const members = units.slice(bound(part), bound(part + 1)).flat()
    if (members.length > 0) batches.push(miniBatch(members))
  }
  return batches
}
