/**
 * The switches between what the Search-R1 reference code does and what it should do.
 *
 * Every switch stands for one or more quirks of the reference (spec, Appendix B). `reference` reproduces the reference
 * run for run, `fixed` is the default and does what the paper and common sense ask for.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/**
 * All switches. Each field names its quirk.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Compat = Schema.Struct({
  /** Q3: which action a generation is cut behind, the first `</search>` wherever it is, or the leftmost complete action. */
  cutRule: Schema.Literals(["searchFirst", "leftmost"]),
  /** Q3: whether a generation runs to its budget and is cut afterwards, or the engine stops at the closing tag. */
  stop: Schema.Literals(["postHoc", "engine"]),
  /** Q2: whether training sees ids re-encoded from the cut text, or the ids that were sampled. */
  idsSource: Schema.Literals(["retokenised", "sampled"]),
  /** Q2: whether an end-of-text token that the policy sampled is kept and trained. */
  trainEos: Schema.Boolean,
  /** Q5: whether a long observation loses its right end, closing tag included, or documents are cut one by one. */
  obsTruncation: Schema.Literals(["rightTokens", "perDocument"]),
  /** Q7: what happens when the context is full: drop its oldest tokens, force the final turn, or stop. */
  overflow: Schema.Literals(["slide", "forceFinal", "stop"]),
  /** Q4: whether a search with an empty query is executed, or an invalid action. */
  emptyQuery: Schema.Literals(["search", "invalid"]),
  /** Q9: whether a search that the final turn asks for, and nobody executes, counts as an executed one. */
  finalTurnSearchCounts: Schema.Boolean,
  /** Q30: whether groups are keyed by the data set's index, or by the instance of the prompt. */
  groupKey: Schema.Literals(["index", "promptInstance"]),
  /** Q31: whether GAE steps over all tokens of the response, or over the policy's own. */
  gaeScope: Schema.Literals(["attention", "loss"]),
  /** Q31: whether advantages are whitened over all tokens of the response, or over the policy's own. */
  whitenMask: Schema.Literals(["attention", "loss"]),
  /** Q31: whether the critic learns values of all tokens of the response, or of the policy's own. */
  valueMask: Schema.Literals(["attention", "loss"]),
  /** Q32: the mean that makes one loss of many tokens; see `Loss.Aggregation`. */
  lossAgg: Schema.Literals(["microTokenMean", "tokenMean", "seqMean"]),
  /** Q33: whether the k3 estimator is clamped to 10 behind the exponential, or its argument to 20 before it. */
  k3Clamp: Schema.Literals(["post10", "pre20"]),
  /** Q35: whether a mini-batch is counted in trajectories, or in prompts with all their samples. */
  miniBatchUnit: Schema.Literals(["trajectories", "prompts"]),
  /** Spec 4.9: the index of the first warm-up step; 0 makes the learning rate of the first step 0. */
  lrWarmupStart: Schema.Literals([0, 1]),
  /** Q1: whether evaluation samples as training does (temperature 1, the trainer's top-p), or decodes greedily. */
  evalSampling: Schema.Literals(["training", "greedy"]),
  /** Spec 2.4: whether evaluation leaves out the last, incomplete batch. */
  evalDropLast: Schema.Boolean,
  /**
   * Q20: whether the answer is the last of at least two `<answer>` pairs in prompt and response, or the last complete
   * pair that the policy wrote.
   */
  answerScope: Schema.Literals(["fullText", "modelSegments"]),
  /** Q22, Q24: whether the format is judged on the text behind a ChatML marker, or on the trajectory's segments. */
  formatScope: Schema.Literals(["chatml", "segments"]),
  /** Q13: whether the protocol's tags inside documents are made harmless. */
  tagNeutralisation: Schema.Boolean
})

/**
 * @category models
 * @since 0.1.0
 */
export type Compat = typeof Compat.Type

/**
 * The behaviour of the reference code, quirk by quirk (`PeterGriffinJin/Search-R1`, HEAD a14dc3a).
 *
 * @category constants
 * @since 0.1.0
 */
export const reference: Compat = {
  cutRule: "searchFirst",
  stop: "postHoc",
  idsSource: "retokenised",
  trainEos: false,
  obsTruncation: "rightTokens",
  overflow: "slide",
  emptyQuery: "search",
  finalTurnSearchCounts: true,
  groupKey: "index",
  gaeScope: "attention",
  whitenMask: "attention",
  valueMask: "attention",
  lossAgg: "microTokenMean",
  k3Clamp: "post10",
  miniBatchUnit: "trajectories",
  lrWarmupStart: 0,
  evalSampling: "training",
  evalDropLast: true,
  answerScope: "fullText",
  formatScope: "chatml",
  tagNeutralisation: false
}

/**
 * What the spec says to do instead. The default.
 *
 * @category constants
 * @since 0.1.0
 */
export const fixed: Compat = {
  cutRule: "leftmost",
  stop: "engine",
  idsSource: "sampled",
  trainEos: true,
  obsTruncation: "perDocument",
  overflow: "forceFinal",
  emptyQuery: "invalid",
  finalTurnSearchCounts: false,
  groupKey: "promptInstance",
  gaeScope: "loss",
  whitenMask: "loss",
  valueMask: "loss",
  lossAgg: "tokenMean",
  k3Clamp: "pre20",
  miniBatchUnit: "prompts",
  lrWarmupStart: 1,
  evalSampling: "greedy",
  evalDropLast: false,
  answerScope: "modelSegments",
  formatScope: "segments",
  tagNeutralisation: true
}

/**
 * Names of the presets of switches.
 *
 * @category schemas
 * @since 0.1.0
 */
export const CompatName = Schema.Literals(["fixed", "reference"])

/**
 * @category models
 * @since 0.1.0
 */
export type CompatName = typeof CompatName.Type

/**
 * The switches of a preset.
 *
 * @category constants
 * @since 0.1.0
 */
export const compat: Readonly<Record<CompatName, Compat>> = { fixed, reference }
