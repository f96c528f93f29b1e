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
import { KlEstimator } from "./KlEstimator.ts"
import { Schedule } from "./LearningRate.ts"
import { Aggregation, Surrogate } from "./LossConfig.ts"
import { Compat } from "./Presets.ts"
import { Sampling } from "./Sampling.ts"

const describe = (description: string) => <S extends Schema.Top>(schema: S): S["Rebuild"] =>
  schema.pipe(Schema.annotateKey({ description }))

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
  prompts: Count.pipe(describe("Prompts of a step.")),
  groupSize: Count.pipe(describe("Rollouts of each prompt (the reference's n_agent).")),
  concurrency: Count.pipe(describe("Rollouts in flight at once.")),
  deadlineSeconds: Positive.pipe(describe("Time that one rollout may take, searches and retries included.")),
  template: Schema.Literals(["search", "r1", "rag"]).pipe(describe("The reference's prompt template.")),
  doSearch: Schema.Boolean.pipe(describe("Off: one generation without search, the paper's R1 baseline.")),
  maxTurns: Count.pipe(describe("Generations that may search; one more without search follows them.")),
  finalTurn: Schema.Boolean.pipe(describe("Whether a last generation without search follows the turns.")),
  topK: Count.pipe(describe("Passages per search.")),
  maxPromptTokens: Count.pipe(describe("Tokens of the prompt.")),
  maxResponseTokens: Count.pipe(describe("Tokens of one generation.")),
  maxObservationTokens: Count.pipe(describe("Tokens of one observation.")),
  maxContextTokens: Count.pipe(describe("Tokens of prompt and response together.")),
  minimumGroup: Schema.NullOr(Count).pipe(
    describe("Completed rollouts that a group with failures needs to be trained on; null drops such groups.")
  ),
  dynamicSampling: Schema.Boolean.pipe(
    describe("Leaves out groups whose rewards are all equal: they teach nothing (DAPO).")
  ),
  staleness: Schema.Natural.pipe(
    describe("Updates that rollouts may be behind the policy; 0 is on-policy. Above 0, importance sampling corrects.")
  )
})

const RetrieverConfig = Schema.Struct({
  kind: Schema.Literals(["lunr", "bm25", "remote"]).pipe(describe("Which search engine.")),
  corpus: Schema.NullOr(Schema.String).pipe(
    describe("Corpus file (JSONL or .jsonl.gz) of lunr and bm25; null takes the one that ships with the package.")
  ),
  url: Schema.NullOr(Schema.String).pipe(describe("Endpoint of a remote retriever.")),
  dialect: Schema.Literals(["search-r1", "search-r1-rerank", "skyrl"]).pipe(
    describe("Protocol of a remote retriever.")
  ),
  timeoutSeconds: Positive.pipe(describe("Time for one attempt of a search.")),
  retries: Schema.Natural.pipe(describe("Attempts after the first.")),
  cache: Schema.Natural.pipe(describe("Searches remembered in memory; 0 remembers none."))
})

const RewardConfig = Schema.Struct({
  kind: Schema.Literals(["exactMatch", "subEm", "f1", "format"]).pipe(describe("What an answer earns.")),
  structureScore: Fraction.pipe(describe("Format reward for a valid format (lambda_struct of spec 3.5).")),
  finalScore: Fraction.pipe(describe("Format reward for an answer in an invalid format (lambda_final).")),
  retrievalScore: Fraction.pipe(describe("Format reward for a retrieved gold answer (lambda_ret).")),
  searchPrice: NonNegative.pipe(describe("Deducted for each executed search.")),
  freeSearches: Schema.Natural.pipe(describe("Searches without a price.")),
  noAnswerPenalty: NonNegative.pipe(describe("Deducted when there is no answer.")),
  noSearchPenalty: NonNegative.pipe(describe("Deducted when nothing was searched."))
})

const AdvantageSection = Schema.Struct({
  estimator: Estimator.pipe(describe("How advantages are made.")),
  gamma: Fraction.pipe(describe("Discount.")),
  lambda: Fraction.pipe(describe("GAE's lambda.")),
  baseline: Schema.Literals(["none", "batchMean"]).pipe(describe("What reinforce subtracts from the score."))
})

const LossSection = Schema.Struct({
  surrogate: Surrogate.pipe(describe("The policy term.")),
  clipLow: NonNegative.pipe(describe("Lower clip range: the ratio is held above 1 - clipLow.")),
  clipHigh: NonNegative.pipe(describe("Upper clip range: the ratio is held below 1 + clipHigh.")),
  dualClip: Schema.NullOr(Schema.Finite.check(Schema.isGreaterThan(1))).pipe(
    describe("Bound on the ratio where the advantage is negative; null is off.")
  ),
  aggregation: Schema.NullOr(Aggregation).pipe(describe("The mean over tokens; null does what compat.lossAgg says.")),
  fixedLength: Schema.NullOr(Count).pipe(
    describe("Divisor of the fixedLength mean; null is the most tokens that a policy can write in a rollout.")
  ),
  entropyCoefficient: Schema.Finite.pipe(describe("Weight of the entropy bonus.")),
  importanceCap: Schema.NullOr(Positive).pipe(
    describe("Cap of truncated importance sampling; null is off, or 2 where rollout.staleness is above 0.")
  ),
  lldsCoefficient: NonNegative.pipe(describe("Weight of the likelihood-displacement term (0.2 in its paper).")),
  maskObservations: Schema.Boolean.pipe(describe("Off: retrieved tokens enter the loss (the paper's ablation)."))
})

const KlSection = Schema.Struct({
  placement: Schema.Literals(["loss", "reward", "none"]).pipe(describe("Where the KL term goes.")),
  coefficient: NonNegative.pipe(describe("Its weight, or where an adaptive controller begins.")),
  estimator: KlEstimator.pipe(describe("Its estimator.")),
  controller: Schema.Literals(["fixed", "adaptive"]).pipe(describe("Whether the weight changes over the run.")),
  target: Positive.pipe(describe("Divergence that an adaptive controller keeps, in nats a token.")),
  horizon: Positive.pipe(describe("Trajectories in which an adaptive controller moves."))
})

const UpdateSection = Schema.Struct({
  miniBatchSize: Count.pipe(describe("Prompts of a mini-batch (trajectories with compat.miniBatchUnit).")),
  miniBatches: Schema.NullOr(Count).pipe(describe("Number of mini-batches a step; takes precedence over the size.")),
  epochs: Count.pipe(describe("Passes over a step's trajectories.")),
  shuffle: Schema.Boolean.pipe(describe("Whether mini-batches are drawn in random order.")),
  microBatchTokens: Count.pipe(describe("Tokens that the device holds at once; it does not change the result.")),
  microBatchSequences: Schema.NullOr(Count).pipe(
    describe("Sequences that the device holds at once; null is unlimited.")
  )
})

const CriticSection = Schema.Struct({
  learningRate: Positive.pipe(describe("Learning rate of the critic.")),
  schedule: Schedule.pipe(describe("Its schedule.")),
  clip: Schema.NullOr(Positive).pipe(describe("Clip range of its values; null is off.")),
  warmupSteps: Schema.Natural.pipe(describe("Steps in which the critic alone learns."))
})

const EvaluationSection = Schema.Struct({
  every: Schema.Natural.pipe(describe("Steps between evaluations; 0 is never.")),
  beforeTraining: Schema.Boolean.pipe(describe("Whether the run begins with one.")),
  questions: Schema.NullOr(Count).pipe(describe("Number of questions; null is all.")),
  sampling: Schema.NullOr(Sampling).pipe(describe("How tokens are drawn; null does what compat.evalSampling says."))
})

const CheckpointsSection = Schema.Struct({
  every: Schema.Natural.pipe(describe("Steps between checkpoints; 0 saves at the end only.")),
  keepLast: Count.pipe(describe("Newest checkpoints to keep.")),
  keepBest: Schema.Boolean.pipe(describe("Whether the best one is kept besides."))
})

const EarlyStopSection = Schema.Struct({
  enabled: Schema.Boolean.pipe(describe("Whether signs of collapse end the run.")),
  patience: Count.pipe(describe("Consecutive steps that must show a sign.")),
  rewardDrop: Schema.NullOr(Fraction).pipe(describe("Share of the best mean reward that may be lost; null is off.")),
  minValidActions: Schema.NullOr(Fraction).pipe(describe("Least share of turns with a valid action; null is off.")),
  maxGradNorm: Schema.NullOr(Positive).pipe(describe("Largest gradient norm before clipping; null is off.")),
  maxKl: Schema.NullOr(Positive).pipe(describe("Largest divergence from the reference policy; null is off.")),
  maxSkippedUpdates: Schema.NullOr(Count).pipe(describe("Consecutive non-finite updates; null is off."))
})

/**
 * The whole configuration.
 *
 * @category schemas
 * @since 0.1.0
 */
export const RunConfig = Schema.Struct({
  algorithm: Algorithm.pipe(describe("The algorithm, with its paper's hyper-parameters.")),
  seed: Schema.Natural.pipe(describe("Decides everything random in the run.")),
  steps: Count.pipe(describe("Steps of rollouts and updates.")),
  model: Schema.NullOr(Schema.String).pipe(
    describe("Directory of the model to start from; null takes the one that ships with the package.")
  ),
  device: Schema.Literals(["auto", "wasm", "tensorflow", "torch", "cpu"]).pipe(
    describe("What tensors are computed on.")
  ),
  questions: Schema.Struct({
    train: Schema.NullOr(Schema.String).pipe(
      describe("Question file to learn from; null takes the one that ships with the package.")
    ),
    evaluate: Schema.NullOr(Schema.String).pipe(describe("Question file to evaluate on.")),
    shuffle: Schema.Boolean.pipe(describe("Whether each epoch has another order."))
  }).pipe(describe("Data sets.")),
  rollout: Rollout.pipe(describe("Rollouts and their limits.")),
  sampling: Sampling.pipe(describe("How training rollouts draw tokens.")),
  retriever: RetrieverConfig.pipe(describe("The search engine.")),
  reward: RewardConfig.pipe(describe("The reward.")),
  advantage: AdvantageSection.pipe(describe("The advantage estimator.")),
  loss: LossSection.pipe(describe("The policy's loss.")),
  kl: KlSection.pipe(describe("The KL term against the frozen reference policy.")),
  update: UpdateSection.pipe(describe("How trajectories become updates.")),
  optimizer: Schema.Struct({
    learningRate: Positive.pipe(describe("Learning rate of the policy.")),
    schedule: Schedule.pipe(describe("Its schedule.")),
    adamW: AdamW.pipe(describe("AdamW's constants, the critic's too."))
  }).pipe(describe("The policy's optimizer.")),
  critic: CriticSection.pipe(describe("The critic (used by the gae estimator).")),
  evaluation: EvaluationSection.pipe(describe("Evaluations during the run.")),
  checkpoints: CheckpointsSection.pipe(describe("Saved states.")),
  earlyStop: EarlyStopSection.pipe(describe("Signs of collapse that end a run.")),
  compat: Compat.pipe(describe("Switches between the reference's behaviour and the fixed one."))
})

/**
 * @category models
 * @since 0.1.0
 */
export type RunConfig = typeof RunConfig.Type
