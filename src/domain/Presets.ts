/**
 * The switches between what the Search-R1 reference code does and what it should do.
 *
 * Every switch stands for one or more quirks of the reference (spec, Appendix B). `reference` reproduces the reference
 * run for run, `fixed` is the default and does what the paper and common sense ask for.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { described } from "./described.ts"

/**
 * All switches. Each field names its quirk.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Compat = Schema.Struct({
  cutRule: Schema.Literals(["searchFirst", "leftmost"]).pipe(
    described(
      "Q3: which action a generation is cut behind, the first `</search>` wherever it is, or the leftmost complete action."
    )
  ),
  stop: Schema.Literals(["postHoc", "engine"]).pipe(
    described(
      "Q3: whether a generation runs to its budget and is cut afterwards, or the engine stops at the closing tag."
    )
  ),
  idsSource: Schema.Literals(["retokenised", "sampled"]).pipe(
    described("Q2: whether training sees ids re-encoded from the cut text, or the ids that were sampled.")
  ),
  trainEos: Schema.Boolean.pipe(
    described("Q2: whether an end-of-text token that the policy sampled is kept and trained.")
  ),
  obsTruncation: Schema.Literals(["rightTokens", "perDocument"]).pipe(
    described(
      "Q5: whether a long observation loses its right end, closing tag included, or documents are cut one by one."
    )
  ),
  overflow: Schema.Literals(["slide", "forceFinal", "stop"]).pipe(
    described("Q7: what happens when the context is full: drop its oldest tokens, force the final turn, or stop.")
  ),
  emptyQuery: Schema.Literals(["search", "invalid"]).pipe(
    described("Q4: whether a search with an empty query is executed, or an invalid action.")
  ),
  finalTurnSearchCounts: Schema.Boolean.pipe(
    described("Q9: whether a search that the final turn asks for, and nobody executes, counts as an executed one.")
  ),
  groupKey: Schema.Literals(["index", "promptInstance"]).pipe(
    described("Q30: whether groups are keyed by the data set's index, or by the instance of the prompt.")
  ),
  gaeScope: Schema.Literals(["attention", "loss"]).pipe(
    described("Q31: whether GAE steps over all tokens of the response, or over the policy's own.")
  ),
  whitenMask: Schema.Literals(["attention", "loss"]).pipe(
    described("Q31: whether advantages are whitened over all tokens of the response, or over the policy's own.")
  ),
  valueMask: Schema.Literals(["attention", "loss"]).pipe(
    described("Q31: whether the critic learns values of all tokens of the response, or of the policy's own.")
  ),
  lossAgg: Schema.Literals(["microTokenMean", "tokenMean", "seqMean"]).pipe(
    described("Q32: the mean that makes one loss of many tokens.")
  ),
  k3Clamp: Schema.Literals(["post10", "pre20"]).pipe(
    described("Q33: whether the k3 estimator is clamped to 10 behind the exponential, or its argument to 20 before it.")
  ),
  miniBatchUnit: Schema.Literals(["trajectories", "prompts"]).pipe(
    described("Q35: whether a mini-batch is counted in trajectories, or in prompts with all their samples.")
  ),
  lrWarmupStart: Schema.Literals([0, 1]).pipe(
    described("Spec 4.9: the index of the first warm-up step; 0 makes the learning rate of the first step 0.")
  ),
  evalSampling: Schema.Literals(["training", "greedy"]).pipe(
    described(
      "Q1: whether evaluation samples as training does (temperature 1, the trainer's top-p), or decodes greedily."
    )
  ),
  evalDropLast: Schema.Boolean.pipe(described("Spec 2.4: whether evaluation leaves out the last, incomplete batch.")),
  answerScope: Schema.Literals(["fullText", "modelSegments"]).pipe(
    described(
      "Q20: whether the answer is the last of at least two `<answer>` pairs in prompt and response, or the last complete pair that the policy wrote."
    )
  ),
  formatScope: Schema.Literals(["chatml", "segments"]).pipe(
    described(
      "Q22, Q24: whether the format is judged on the text behind a ChatML marker, or on the trajectory's segments."
    )
  ),
  tagNeutralisation: Schema.Boolean.pipe(
    described("Q13: whether the protocol's tags inside documents are made harmless.")
  )
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
