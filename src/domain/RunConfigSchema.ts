/**
 * The configuration of a training run.
 *
 * A resolved configuration holds every key; `null` says "not set" or "off" as its description tells. What a user
 * writes is a part of it: see `RunConfigInput`.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { AdamW } from "./AdamW.ts"
import { Estimator } from "./AdvantageConfig.ts"
import { described } from "./described.ts"
import { KlEstimator } from "./KlEstimator.ts"
import { Schedule } from "./LearningRate.ts"
import { Aggregation, Surrogate } from "./LossConfig.ts"
import { Compat } from "./Presets.ts"
import { Sampling } from "./Sampling.ts"

const Positive = Schema.Finite.check(Schema.isGreaterThan(0))
const NonNegative = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))
const Fraction = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
const Count = Schema.Int.check(Schema.isGreaterThan(0))

/**
 * Algorithms by name. A name stands for an estimator, a surrogate and a place for the KL term, with the hyper-parameters
 * of its paper; each can still be set by itself.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Algorithm = Schema.Literals([
  "ppo",
  "grpo",
  "reinforce",
  "rloo",
  "reinforce++",
  "dr-grpo",
  "dapo",
  "gspo",
  "cispo"
])

/**
 * @category models
 * @since 0.1.0
 */
export type Algorithm = typeof Algorithm.Type

/**
 * Named sets of values: the switches of `Presets` and the runs of the paper (spec 4.10).
 *
 * @category schemas
 * @since 0.1.0
 */
export const PresetName = Schema.Literals(["fixed", "reference", "paper-ppo", "paper-grpo"])

/**
 * @category models
 * @since 0.1.0
 */
export type PresetName = typeof PresetName.Type

const Rollout = Schema.Struct({
  prompts: Count.pipe(described("Prompts of a step.")),
  groupSize: Count.pipe(described("Rollouts of each prompt (the reference's n_agent).")),
  concurrency: Count.pipe(described("Rollouts in flight at once.")),
  deadlineSeconds: Positive.pipe(described("Time that one rollout may take, searches and retries included.")),
  template: Schema.Literals(["search", "r1", "rag"]).pipe(described("The reference's prompt template.")),
  doSearch: Schema.Boolean.pipe(described("Off: one generation without search, the paper's R1 baseline.")),
  maxTurns: Count.pipe(described("Generations that may search; one more without search follows them.")),
  finalTurn: Schema.Boolean.pipe(described("Whether a last generation without search follows the turns.")),
  topK: Count.pipe(described("Passages per search.")),
  maxPromptTokens: Count.pipe(described("Tokens of the prompt.")),
  maxResponseTokens: Count.pipe(described("Tokens of one generation.")),
  maxObservationTokens: Count.pipe(described("Tokens of one observation.")),
  maxContextTokens: Count.pipe(described("Tokens of prompt and response together.")),
  minimumGroup: Schema.NullOr(Count).pipe(
    described("Completed rollouts that a group with failures needs to be trained on; null drops such groups.")
  ),
  dynamicSampling: Schema.Boolean.pipe(
    described("Leaves out groups whose rewards are all equal: they teach nothing (DAPO).")
  ),
  staleness: Schema.Natural.pipe(
    described("Updates that rollouts may be behind the policy; 0 is on-policy. Above 0, importance sampling corrects.")
  )
})

const RetrieverConfig = Schema.Struct({
  kind: Schema.Literals(["lunr", "bm25", "index", "random", "remote"]).pipe(
    described(
      "Which search engine; index is one that `search-r1 index build` made; random answers with passages that have nothing to do with the query (an ablation)."
    )
  ),
  corpus: Schema.NullOr(Schema.NonEmptyString).pipe(
    described("Corpus file (JSONL, .jsonl.gz or Parquet) of lunr, bm25 and random; the index of index.")
  ),
  url: Schema.NullOr(Schema.NonEmptyString).pipe(described("Endpoint of a remote retriever.")),
  dialect: Schema.Literals(["search-r1", "search-r1-rerank", "skyrl"]).pipe(
    described("Protocol of a remote retriever.")
  ),
  timeoutSeconds: Positive.pipe(described("Time for one attempt of a search.")),
  retries: Schema.Natural.pipe(
    described("Attempts after the first of a search through a server, 0.2 seconds to 10 apart: 8 bridge half a minute.")
  ),
  cache: Schema.Natural.pipe(described("Searches remembered in memory; 0 remembers none."))
})

const RewardConfig = Schema.Struct({
  kind: Schema.Literals(["exactMatch", "subEm", "f1", "format"]).pipe(described("What an answer earns.")),
  structureScore: Fraction.pipe(described("Format reward for a valid format (lambda_struct of spec 3.5).")),
  finalScore: Fraction.pipe(described("Format reward for an answer in an invalid format (lambda_final).")),
  retrievalScore: Fraction.pipe(described("Format reward for a retrieved gold answer (lambda_ret).")),
  searchPrice: NonNegative.pipe(described("Deducted for each executed search.")),
  freeSearches: Schema.Natural.pipe(described("Searches without a price.")),
  noAnswerPenalty: NonNegative.pipe(described("Deducted when there is no answer.")),
  noSearchPenalty: NonNegative.pipe(described("Deducted when nothing was searched."))
})

const AdvantageSection = Schema.Struct({
  estimator: Estimator.pipe(described("How advantages are made.")),
  gamma: Fraction.pipe(described("Discount.")),
  lambda: Fraction.pipe(described("GAE's lambda.")),
  baseline: Schema.Literals(["none", "batchMean"]).pipe(described("What reinforce subtracts from the score."))
})

const LossSection = Schema.Struct({
  surrogate: Surrogate.pipe(described("The policy term.")),
  clipLow: NonNegative.pipe(described("Lower clip range: the ratio is held above 1 - clipLow.")),
  clipHigh: NonNegative.pipe(described("Upper clip range: the ratio is held below 1 + clipHigh.")),
  dualClip: Schema.NullOr(Schema.Finite.check(Schema.isGreaterThan(1))).pipe(
    described("Bound on the ratio where the advantage is negative; null is off.")
  ),
  aggregation: Schema.NullOr(Aggregation).pipe(described("The mean over tokens; null does what compat.lossAgg says.")),
  fixedLength: Schema.NullOr(Count).pipe(
    described("Divisor of the fixedLength mean; null is the most tokens that a policy can write in a rollout.")
  ),
  entropyCoefficient: Schema.Finite.pipe(described("Weight of the entropy bonus.")),
  importanceCap: Schema.NullOr(Positive).pipe(
    described("Cap of truncated importance sampling; null is off, or 2 where rollout.staleness is above 0.")
  ),
  lldsCoefficient: NonNegative.pipe(described("Weight of the likelihood-displacement term (0.2 in its paper).")),
  maskObservations: Schema.Boolean.pipe(described("Off: retrieved tokens enter the loss (the paper's ablation)."))
})

const KlSection = Schema.Struct({
  placement: Schema.Literals(["loss", "reward", "none"]).pipe(described("Where the KL term goes.")),
  coefficient: NonNegative.pipe(described("Its weight, or where an adaptive controller begins.")),
  estimator: KlEstimator.pipe(described("Its estimator.")),
  controller: Schema.Literals(["fixed", "adaptive"]).pipe(described("Whether the weight changes over the run.")),
  target: Positive.pipe(described("Divergence that an adaptive controller keeps, in nats a token.")),
  horizon: Positive.pipe(described("Trajectories in which an adaptive controller moves."))
})

const UpdateSection = Schema.Struct({
  miniBatchSize: Count.pipe(described("Prompts of a mini-batch (trajectories with compat.miniBatchUnit).")),
  miniBatches: Schema.NullOr(Count).pipe(described("Number of mini-batches a step; takes precedence over the size.")),
  epochs: Count.pipe(described("Passes over a step's trajectories.")),
  shuffle: Schema.Boolean.pipe(described("Whether mini-batches are drawn in random order.")),
  microBatchTokens: Count.pipe(described("Tokens that the device holds at once; it does not change the result.")),
  microBatchSequences: Schema.NullOr(Count).pipe(
    described("Sequences that the device holds at once; null is unlimited.")
  )
})

const CriticSection = Schema.Struct({
  learningRate: Positive.pipe(described("Learning rate of the critic.")),
  schedule: Schedule.pipe(described("Its schedule.")),
  clip: Schema.NullOr(Positive).pipe(described("Clip range of its values; null is off.")),
  warmupSteps: Schema.Natural.pipe(described("Steps in which the critic alone learns."))
})

const EvaluationSection = Schema.Struct({
  every: Schema.Natural.pipe(
    described(
      "Steps between evaluations, the last of which is behind the last step; 0 is never, not even before the first."
    )
  ),
  beforeTraining: Schema.Boolean.pipe(described("Whether the run begins with one, where there are any.")),
  questions: Schema.NullOr(Count).pipe(described("Number of questions; null is all.")),
  corpus: Schema.NullOr(Schema.NonEmptyString).pipe(
    described("Corpus file that evaluations search with lunr; null searches what the run searches.")
  ),
  sampling: Schema.NullOr(Sampling).pipe(described("How tokens are drawn; null does what compat.evalSampling says."))
})

const CheckpointsSection = Schema.Struct({
  every: Schema.Natural.pipe(
    described("Steps between checkpoints: what a crash may cost; 0 saves at the end and on Ctrl-C only.")
  ),
  keepLast: Count.pipe(described("Newest checkpoints to keep.")),
  keepBest: Schema.Boolean.pipe(described("Whether the best one is kept besides."))
})

const EarlyStopSection = Schema.Struct({
  enabled: Schema.Boolean.pipe(described("Whether signs of collapse end the run.")),
  patience: Count.pipe(described("Consecutive steps that must show a sign.")),
  rewardDrop: Schema.NullOr(Fraction).pipe(described("Share of the best mean reward that may be lost; null is off.")),
  minValidActions: Schema.NullOr(Fraction).pipe(described("Least share of turns with a valid action; null is off.")),
  maxGradNorm: Schema.NullOr(Positive).pipe(described("Largest gradient norm before clipping; null is off.")),
  maxKl: Schema.NullOr(Positive).pipe(described("Largest divergence from the reference policy; null is off.")),
  maxSkippedUpdates: Schema.NullOr(Count).pipe(described("Consecutive non-finite updates; null is off."))
})

/**
 * The whole configuration.
 *
 * @category schemas
 * @since 0.1.0
 */
export const RunConfig = Schema.Struct({
  algorithm: Algorithm.pipe(described("The algorithm, with its paper's hyper-parameters.")),
  seed: Schema.Natural.pipe(described("Decides everything random in the run.")),
  steps: Count.pipe(described("Steps of rollouts and updates.")),
  model: Schema.NullOr(Schema.NonEmptyString).pipe(
    described("Directory of the model to start from; null takes the one that ships with the package.")
  ),
  device: Schema.Literals(["auto", "wasm", "tensorflow", "torch", "cpu"]).pipe(
    described("What tensors are computed on.")
  ),
  questions: Schema.Struct({
    train: Schema.NullOr(Schema.NonEmptyString).pipe(described("Question file to learn from; a run needs one.")),
    evaluate: Schema.NullOr(Schema.NonEmptyString).pipe(
      described("Question file to evaluate on; null never evaluates.")
    ),
    shuffle: Schema.Boolean.pipe(described("Whether each epoch has another order."))
  }).pipe(described("Data sets.")),
  rollout: Rollout.pipe(described("Rollouts and their limits.")),
  sampling: Sampling.pipe(described("How training rollouts draw tokens.")),
  retriever: RetrieverConfig.pipe(described("The search engine.")),
  reward: RewardConfig.pipe(described("The reward.")),
  advantage: AdvantageSection.pipe(described("The advantage estimator.")),
  loss: LossSection.pipe(described("The policy's loss.")),
  kl: KlSection.pipe(described("The KL term against the frozen reference policy.")),
  update: UpdateSection.pipe(described("How trajectories become updates.")),
  optimizer: Schema.Struct({
    learningRate: Positive.pipe(described("Learning rate of the policy.")),
    schedule: Schedule.pipe(described("Its schedule.")),
    adamW: AdamW.pipe(described("AdamW's constants, the critic's too."))
  }).pipe(described("The policy's optimizer.")),
  critic: CriticSection.pipe(described("The critic (used by the gae estimator).")),
  evaluation: EvaluationSection.pipe(described("Evaluations during the run.")),
  checkpoints: CheckpointsSection.pipe(described("Saved states.")),
  earlyStop: EarlyStopSection.pipe(described("Signs of collapse that end a run.")),
  compat: Compat.pipe(described("Switches between the reference's behaviour and the fixed one."))
})

/**
 * @category models
 * @since 0.1.0
 */
export type RunConfig = typeof RunConfig.Type
