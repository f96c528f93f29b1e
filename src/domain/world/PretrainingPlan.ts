/**
 * Everything that a base model follows from, as data.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import * as Pretraining from "./Pretraining.ts"
import type { Vocabulary } from "./Vocabulary.ts"

const Share = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
const Positive = Schema.Finite.check(Schema.isGreaterThan(0))
const Count = Schema.Int.check(Schema.isGreaterThan(0))

/**
 * The numbers behind a base model. Two runs of one plan on one kind of machine give the same weights.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Plan = Schema.Struct({
  seed: Schema.String,
  steps: Count,
  batchSize: Count,
  copySteps: Schema.Natural,
  learningRate: Positive,
  /** Steps at the beginning with a rising rate; it falls in a straight line from there on. */
  warmupSteps: Schema.Natural,
  /** The last rate, as a share of the highest. */
  finalShare: Share,
  beta2: Share,
  weightDecay: Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)),
  maxGradNorm: Positive,
  /** Shares of the mixture behind the copying; rough transcripts are what is left. */
  encyclopedia: Share,
  repeated: Share,
  quiz: Share,
  reading: Share,
  /** Weights of questions of one, two and three hops in reading and transcripts. */
  hops: Schema.Tuple([Schema.Finite, Schema.Finite, Schema.Finite]),
  comparison: Share,
  yesno: Share,
  /** Probability of searching, and not answering, at each turn of a rough transcript. */
  search: Schema.Array(Share),
  /** Digest of the weights that the run starts from, `sha256:…`; null where it makes its own from the seed. */
  from: Schema.NullOr(Schema.String),
  hiddenSize: Count,
  layers: Count,
  heads: Count
})

/**
 * @category models
 * @since 0.1.0
 */
export type Plan = typeof Plan.Type

/**
 * The recipe that was found to work (0.9 million weights, 23 million tokens).
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultPlan: Plan = {
  seed: "0",
  steps: 1800,
  batchSize: Pretraining.defaultRecipe.batchSize,
  copySteps: Pretraining.defaultRecipe.copySteps,
  learningRate: 1e-3,
  warmupSteps: 100,
  finalShare: 0.05,
  beta2: 0.95,
  weightDecay: 0.01,
  maxGradNorm: 1,
  encyclopedia: Pretraining.defaultRecipe.encyclopedia,
  repeated: Pretraining.defaultRecipe.repeated,
  quiz: Pretraining.defaultRecipe.quiz,
  reading: Pretraining.defaultRecipe.reading,
  hops: Pretraining.defaultRecipe.texts.mix.hops,
  comparison: 0,
  yesno: 0,
  search: Pretraining.defaultRecipe.texts.search,
  from: null,
  hiddenSize: 128,
  layers: 4,
  heads: 4
}

/**
 * The texts of a plan.
 *
 * @category conversions
 * @since 0.1.0
 */
export const recipe = (plan: Plan, vocabulary: Vocabulary): Pretraining.Recipe => ({
  ...Pretraining.defaultRecipe,
  seed: plan.seed,
  vocabulary,
  batchSize: plan.batchSize,
  copySteps: plan.copySteps,
  encyclopedia: plan.encyclopedia,
  repeated: plan.repeated,
  quiz: plan.quiz,
  reading: plan.reading,
  texts: {
    ...Pretraining.defaultRecipe.texts,
    mix: { hops: plan.hops, comparison: plan.comparison, yesno: plan.yesno },
    search: plan.search
  }
})
