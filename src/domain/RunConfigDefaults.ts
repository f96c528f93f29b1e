/**
 * What a run does unless told otherwise: the paper's values (spec 4.10), those of each algorithm, and named presets.
 *
 * @since 0.1.0
 */
import * as AdamW from "./AdamW.ts"
import { type Compat, fixed, reference } from "./Presets.ts"
import type { Algorithm, PresetName, RunConfig } from "./RunConfigSchema.ts"
import { onPolicy } from "./Sampling.ts"

/**
 * A part of a configuration, at any depth. Objects are merged, everything else is replaced.
 *
 * @category models
 * @since 0.1.0
 */
export type Part<A> = A extends object ? { readonly [K in keyof A]?: Part<A[K]> } : A

/**
 * The paper's values where all its runs agree, and GRPO.
 *
 * @category constants
 * @since 0.1.0
 */
export const base: RunConfig = {
  algorithm: "grpo",
  seed: 0,
  steps: 1005,
  model: null,
  device: "auto",
  questions: { train: null, evaluate: null, shuffle: true },
  rollout: {
    prompts: 512,
    groupSize: 5,
    concurrency: 256,
    deadlineSeconds: 600,
    template: "search",
    doSearch: true,
    maxTurns: 4,
    finalTurn: true,
    topK: 3,
    maxPromptTokens: 2048,
    maxResponseTokens: 500,
    maxObservationTokens: 500,
    maxContextTokens: 4096,
    minimumGroup: null,
    dynamicSampling: false,
    staleness: 0
  },
  sampling: onPolicy,
  retriever: {
    kind: "lunr",
    corpus: null,
    url: null,
    dialect: "search-r1",
    timeoutSeconds: 30,
    retries: 8,
    cache: 16384
  },
  reward: {
    kind: "exactMatch",
    structureScore: 0.2,
    finalScore: 0.1,
    retrievalScore: 0,
    searchPrice: 0,
    freeSearches: 0,
    noAnswerPenalty: 0,
    noSearchPenalty: 0
  },
  advantage: { estimator: "grpo", gamma: 1, lambda: 1, baseline: "none" },
  loss: {
    surrogate: "clip",
    clipLow: 0.2,
    clipHigh: 0.2,
    dualClip: null,
    aggregation: null,
    fixedLength: null,
    entropyCoefficient: 0.001,
    importanceCap: null,
    lldsCoefficient: 0,
    maskObservations: true
  },
  kl: {
    placement: "loss",
    coefficient: 0.001,
    estimator: "k3",
    controller: "fixed",
    target: 0.1,
    horizon: 10_000
  },
  update: {
    miniBatchSize: 256,
    miniBatches: null,
    epochs: 1,
    shuffle: false,
    microBatchTokens: 16_384,
    microBatchSequences: null
  },
  optimizer: {
    learningRate: 1e-6,
    schedule: { kind: "constant", warmupRatio: 0.285, warmupSteps: null, minRatio: 0 },
    adamW: AdamW.reference
  },
  critic: {
    learningRate: 1e-5,
    schedule: { kind: "constant", warmupRatio: 0.015, warmupSteps: null, minRatio: 0 },
    clip: 0.5,
    warmupSteps: 0
  },
  evaluation: { every: 50, beforeTraining: true, questions: null, corpus: null, sampling: null },
  checkpoints: { every: 1, keepLast: 2, keepBest: true },
  earlyStop: {
    enabled: true,
    patience: 10,
    rewardDrop: 0.5,
    minValidActions: null,
    maxGradNorm: null,
    maxKl: null,
    maxSkippedUpdates: 5
  },
  compat: fixed
}

/**
 * What each algorithm's paper sets. Search-R1's own: `ppo`, `grpo` and `reinforce` (its Table 8: GRPO in groups of one).
 * The others keep Search-R1's rollouts and bring their own estimator, clip range, mean and KL term.
 *
 * @category constants
 * @since 0.1.0
 */
export const algorithms: Readonly<Record<Algorithm, Part<RunConfig>>> = {
  ppo: {
    rollout: { groupSize: 1 },
    advantage: { estimator: "gae" },
    kl: { placement: "reward", estimator: "k1" }
  },
  grpo: {},
  reinforce: { rollout: { groupSize: 1 }, advantage: { estimator: "reinforce" } },
  rloo: { advantage: { estimator: "rloo" }, kl: { placement: "reward", estimator: "k1" } },
  "reinforce++": {
    rollout: { groupSize: 1 },
    advantage: { estimator: "reinforce++" },
    kl: { placement: "reward", estimator: "k1" }
  },
  "dr-grpo": {
    advantage: { estimator: "dr-grpo" },
    loss: { aggregation: "fixedLength", entropyCoefficient: 0 },
    kl: { placement: "none" }
  },
  dapo: {
    rollout: { dynamicSampling: true },
    loss: { clipHigh: 0.28, aggregation: "tokenMean", entropyCoefficient: 0 },
    kl: { placement: "none" }
  },
  gspo: {
    loss: {
      surrogate: "gspo",
      clipLow: 3e-4,
      clipHigh: 4e-4,
      aggregation: "seqMean",
      entropyCoefficient: 0
    },
    kl: { placement: "none" }
  },
  cispo: {
    loss: { surrogate: "cispo", clipLow: 1, clipHigh: 0.2, aggregation: "tokenMean", entropyCoefficient: 0 },
    kl: { placement: "none" }
  }
}

/** What the v0.2 scripts have in common: the runs behind the later versions of the paper. */
const v02: Part<RunConfig> = {
  steps: 1005,
  rollout: {
    prompts: 512,
    maxTurns: 4,
    topK: 3,
    maxPromptTokens: 2048,
    maxResponseTokens: 500,
    maxObservationTokens: 500,
    maxContextTokens: 4096
  },
  loss: { clipLow: 0.2, clipHigh: 0.2, entropyCoefficient: 0.001 },
  kl: { coefficient: 0.001, controller: "fixed" },
  update: { miniBatchSize: 256, miniBatches: null, epochs: 1, shuffle: false },
  optimizer: {
    learningRate: 1e-6,
    schedule: { kind: "constant", warmupRatio: 0.285 },
    adamW: { maxGradNorm: 1 }
  },
  evaluation: { every: 100, beforeTraining: true },
  checkpoints: { every: 100 }
}

/**
 * Named sets of values, applied in the order in which they are named. `paper-grpo` samples with top-p .95 as its script
 * does, though the paper says 1 (quirk Q34).
 *
 * @category constants
 * @since 0.1.0
 */
export const presets: Readonly<Record<PresetName, Part<RunConfig>>> = {
  fixed: { compat: fixed satisfies Compat },
  reference: { compat: reference satisfies Compat },
  "paper-ppo": {
    ...v02,
    algorithm: "ppo",
    sampling: { temperature: 1, topK: 0, topP: 1 },
    critic: { learningRate: 1e-5, schedule: { kind: "constant", warmupRatio: 0.015 }, clip: 0.5 }
  },
  "paper-grpo": {
    ...v02,
    algorithm: "grpo",
    sampling: { temperature: 1, topK: 0, topP: 0.95 },
    rollout: { ...v02.rollout, groupSize: 5 }
  }
}
