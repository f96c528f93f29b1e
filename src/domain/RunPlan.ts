/**
 * What a configuration means for each part of a step: the one place where its keys, the algorithm's and the compatibility
 * switches come together.
 *
 * @since 0.1.0
 */
import type { AdvantageConfig } from "./AdvantageConfig.ts"
import type { MiniBatchOptions, SequenceOptions } from "./Batch.ts"
import type { KlController } from "./KlController.ts"
import * as LearningRate from "./LearningRate.ts"
import type { LossConfig } from "./LossConfig.ts"
import type { MicroBatchBudget } from "./MicroBatch.ts"
import type { RunConfig } from "./RunConfigSchema.ts"
import { greedy, type Sampling } from "./Sampling.ts"
import type { ValueLossConfig } from "./ValueLoss.ts"

/**
 * Whether the run has a critic.
 *
 * @category getters
 * @since 0.1.0
 */
export const usesCritic = (config: RunConfig): boolean => config.advantage.estimator === "gae"

/**
 * Whether log-probabilities under the reference policy are needed.
 *
 * @category getters
 * @since 0.1.0
 */
export const usesReference = (config: RunConfig): boolean =>
  config.kl.placement !== "none" && (config.kl.coefficient > 0 || config.kl.controller === "adaptive")

/**
 * The most tokens that a policy can write in one rollout.
 *
 * @category getters
 * @since 0.1.0
 */
export const maxPolicyTokens = ({ rollout }: RunConfig): number =>
  Math.min(
    rollout.maxContextTokens,
    rollout.maxResponseTokens * (rollout.doSearch ? rollout.maxTurns + (rollout.finalTurn ? 1 : 0) : 1)
  )

/**
 * Rollouts of training that are in flight at once, at most.
 *
 * @category getters
 * @since 0.2.0
 */
export const sessions = ({ rollout }: RunConfig): number =>
  Math.min(rollout.concurrency, rollout.prompts * rollout.groupSize) * (1 + rollout.staleness)

/**
 * Whether the policy is evaluated behind a step (0 is before training).
 *
 * @category predicates
 * @since 0.2.0
 */
export const evaluates = ({ evaluation }: RunConfig, step: number, last: boolean): boolean =>
  evaluation.every > 0 && (step === 0 ? evaluation.beforeTraining : last || step % evaluation.every === 0)

/**
 * Cap of truncated importance sampling, or null: set, or 2 where rollouts may be stale.
 *
 * @category getters
 * @since 0.1.0
 */
export const importanceCap = ({ loss, rollout }: RunConfig): number | null =>
  loss.importanceCap ?? (rollout.staleness > 0 ? 2 : null)

/**
 * @category getters
 * @since 0.1.0
 */
export const klController = ({ kl }: RunConfig): KlController => ({
  kind: kl.controller,
  target: kl.target,
  horizon: kl.horizon
})

/**
 * The policy's loss at a KL coefficient (the controller's, at this step).
 *
 * @category getters
 * @since 0.1.0
 */
export const lossConfig = (config: RunConfig, klCoefficient = config.kl.coefficient): LossConfig => ({
  surrogate: config.loss.surrogate,
  clipLow: config.loss.clipLow,
  clipHigh: config.loss.clipHigh,
  dualClip: config.loss.dualClip,
  aggregation: config.loss.aggregation ?? config.compat.lossAgg,
  fixedLength: config.loss.fixedLength ?? maxPolicyTokens(config),
  entropyCoefficient: config.loss.entropyCoefficient,
  klCoefficient: config.kl.placement === "loss" ? klCoefficient : 0,
  klEstimator: config.kl.estimator,
  klClamp: config.compat.k3Clamp,
  importanceCap: importanceCap(config),
  lldsCoefficient: config.loss.lldsCoefficient
})

/**
 * The critic's loss.
 *
 * @category getters
 * @since 0.1.0
 */
export const valueLossConfig = (config: RunConfig): ValueLossConfig => ({
  clip: config.critic.clip,
  aggregation: config.compat.lossAgg === "microTokenMean" ? "microTokenMean" : "tokenMean"
})

/**
 * The advantage estimator at a KL coefficient. Without masking, observations are tokens like any other in every formula.
 *
 * @category getters
 * @since 0.1.0
 */
export const advantageConfig = (config: RunConfig, klCoefficient = config.kl.coefficient): AdvantageConfig => {
  const { advantage, compat, kl, loss } = config
  const masked = loss.maskObservations
  return {
    ...advantage,
    groupKey: compat.groupKey,
    gaeScope: masked ? compat.gaeScope : "attention",
    whitenMask: masked ? compat.whitenMask : "attention",
    lossScope: masked ? "loss" : "attention",
    rewardKl: kl.placement === "reward"
      ? { coefficient: klCoefficient, estimator: kl.estimator, clamp: compat.k3Clamp }
      : null
  }
}

/**
 * How scored trajectories become training sequences.
 *
 * @category getters
 * @since 0.1.0
 */
export const sequenceOptions = (config: RunConfig): SequenceOptions => ({
  lossScope: config.loss.maskObservations ? "loss" : "attention",
  valueScope: config.loss.maskObservations ? config.compat.valueMask : "attention",
  behaviour: importanceCap(config) !== null
})

/**
 * How a step's sequences are cut into mini-batches, in one of its epochs. Shuffling is a function of the seed, the step
 * and the epoch.
 *
 * @category getters
 * @since 0.1.0
 */
export const miniBatchOptions = (config: RunConfig, step: number, epoch = 0): MiniBatchOptions => ({
  unit: config.compat.miniBatchUnit,
  split: config.update.miniBatches === null
    ? { by: "size", size: config.update.miniBatchSize }
    : { by: "count", count: config.update.miniBatches },
  ...(config.update.shuffle && { shuffleSeed: `${config.seed}/${step}/${epoch}/mini-batches` })
})

/**
 * @category getters
 * @since 0.1.0
 */
export const microBatchBudget = ({ update }: RunConfig): MicroBatchBudget => ({
  maxTokens: update.microBatchTokens,
  ...(update.microBatchSequences !== null && { maxSequences: update.microBatchSequences })
})

/**
 * Number of updates that a step makes when all its rollouts complete.
 *
 * @category getters
 * @since 0.1.0
 */
export const updatesPerStep = ({ compat, rollout, update }: RunConfig): number => {
  const units = compat.miniBatchUnit === "prompts" ? rollout.prompts : rollout.prompts * rollout.groupSize
  const parts = update.miniBatches === null
    ? Math.ceil(units / update.miniBatchSize)
    : Math.min(units, update.miniBatches)
  return parts * update.epochs
}

/**
 * The policy's learning rate at a step, counted from 0.
 *
 * @category getters
 * @since 0.1.0
 */
export const learningRate = (config: RunConfig, step: number): number =>
  LearningRate.at(config.optimizer.schedule, {
    learningRate: config.optimizer.learningRate,
    step,
    totalSteps: config.steps,
    start: config.compat.lrWarmupStart
  })

/**
 * The critic's learning rate at a step, counted from 0.
 *
 * @category getters
 * @since 0.1.0
 */
export const criticLearningRate = (config: RunConfig, step: number): number =>
  LearningRate.at(config.critic.schedule, {
    learningRate: config.critic.learningRate,
    step,
    totalSteps: config.steps,
    start: config.compat.lrWarmupStart
  })

/**
 * How evaluations draw tokens (quirk Q1).
 *
 * @category getters
 * @since 0.1.0
 */
export const evaluationSampling = (config: RunConfig): Sampling =>
  config.evaluation.sampling ?? (config.compat.evalSampling === "greedy" ? greedy : config.sampling)
