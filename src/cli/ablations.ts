/**
 * The ablations of the paper (§5, its appendix and the follow-up) as settings on top of one recipe.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/**
 * A setting that is compared: `set` is a configuration's part.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Variant = Schema.Struct({
  name: Schema.String.check(Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9 .,+_-]*$/, {
    expected: "letters, digits, spaces and . , + _ -, for it names a directory"
  })),
  set: Schema.JsonObject
})

/**
 * @category models
 * @since 0.1.0
 */
export type Variant = typeof Variant.Type

/**
 * Variants that are drawn together. A variant may be part of several; it is trained once.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Topic = Schema.Struct({
  topic: Schema.String.check(Schema.isPattern(/^[a-z0-9-]+$/, { expected: "lower-case letters, digits and -" })),
  title: Schema.String,
  variants: Schema.NonEmptyArray(Variant)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Topic = typeof Topic.Type

const grpo: Variant = { name: "GRPO", set: {} }

const single = { rollout: { prompts: 256, groupSize: 1 } }

const reinforce = { algorithm: "reinforce", ...single, advantage: { baseline: "batchMean" } }

const ppo = { algorithm: "ppo", ...single, critic: { learningRate: 1e-3, schedule: { warmupRatio: 0 } } }

const unmasked = { loss: { maskObservations: false } }

/** Without a second update no ratio leaves 1, so that nothing is clipped. */
const oneUpdate = { update: { miniBatches: 1 } }

/**
 * Algorithm, masking, passages a search, retriever, format reward, price of a search and search itself.
 *
 * @category constants
 * @since 0.1.0
 */
export const topics: ReadonlyArray<Topic> = [
  {
    topic: "algorithm",
    title: "Algorithms",
    variants: [grpo, { name: "REINFORCE", set: reinforce }, { name: "PPO", set: ppo }]
  },
  {
    topic: "mask",
    title: "Retrieved tokens masked or not",
    variants: [
      grpo,
      { name: "GRPO unmasked", set: unmasked },
      { name: "GRPO, one update", set: oneUpdate },
      { name: "GRPO unmasked, one update", set: { ...oneUpdate, ...unmasked } },
      { name: "REINFORCE", set: reinforce },
      { name: "REINFORCE unmasked", set: { ...reinforce, ...unmasked } },
      { name: "PPO", set: ppo },
      { name: "PPO unmasked", set: { ...ppo, ...unmasked } }
    ]
  },
  {
    topic: "top-k",
    title: "Passages a search",
    variants: [
      grpo,
      { name: "2 passages", set: { rollout: { topK: 2, maxObservationTokens: 120 } } },
      { name: "3 passages", set: { rollout: { topK: 3, maxObservationTokens: 180 } } }
    ]
  },
  {
    topic: "retriever",
    title: "What search is worth",
    variants: [
      grpo,
      { name: "random passages", set: { retriever: { kind: "random" } } },
      { name: "no search", set: { rollout: { doSearch: false } } }
    ]
  },
  {
    topic: "reward",
    title: "Format reward and price of a search",
    variants: [
      grpo,
      { name: "format reward", set: { reward: { kind: "format" } } },
      { name: "price .05", set: { reward: { searchPrice: 0.05 } } },
      { name: "price .15", set: { reward: { searchPrice: 0.15 } } }
    ]
  }
]
