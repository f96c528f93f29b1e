/**
 * Whether a configuration makes another run of the one that it is to go on with.
 *
 * @since 0.2.0
 */
import * as Differences from "./Differences.ts"
import type { RunConfig } from "./RunConfigSchema.ts"

/** What may change between a run and its continuation: how much is done, how it is watched, with what machinery. */
const free: ReadonlyArray<string> = [
  "steps",
  "device",
  "evaluation",
  "checkpoints",
  "earlyStop",
  "questions.evaluate",
  "retriever.timeoutSeconds",
  "retriever.retries",
  "retriever.cache",
  "rollout.concurrency",
  "rollout.deadlineSeconds"
]

/** What only a mean over micro-batches depends on. */
const microBatches: ReadonlyArray<string> = ["update.microBatchTokens", "update.microBatchSequences"]

/** Where something is. Whether the same is there as before is known to whoever opens it, not to the configuration. */
const places: ReadonlyArray<string> = ["model", "questions.train", "retriever.corpus", "retriever.url"]

const within = (key: string, keys: ReadonlyArray<string>): boolean =>
  keys.some((one) => key === one || key.startsWith(`${one}.`))

/**
 * The differences that make it another run.
 *
 * @category getters
 * @since 0.2.0
 */
export const conflicts = (before: RunConfig, after: RunConfig): ReadonlyArray<Differences.Difference> => {
  const counted = [before.loss.aggregation, before.compat.lossAgg].includes("microTokenMean")
  const ignored = [...free, ...places, ...(counted ? [] : microBatches)]
  return Differences.between(before, after).filter(({ key }) => !within(key, ignored))
}
