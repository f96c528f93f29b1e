/**
 * Recorded trajectories as examples to learn from.
 *
 * @since 0.1.0
 */
import { Console, Effect, Option, Result, Stream } from "effect"
import { CliError } from "effect/cli"
import { type Demonstration, fromJson } from "../domain/Demonstration.ts"
import { incremental } from "../layers/hash.ts"
import * as RecordFile from "../layers/recordFile.ts"
import type { FileUnreadable } from "../layers/textFile.ts"
import * as Finetune from "../programs/Finetune.ts"
import { userError } from "./userError.ts"

/** What stands for the examples in a plan: their hash. */
export const digestOf = (examples: ReadonlyArray<Finetune.Example>): string => {
  const digest = incremental()
  for (const { ids, weights } of examples) digest.update(ids).update(weights)
  return `sha256:${digest.digest("hex")}`
}

/** Records that cannot be read are named one by one up to this number. */
const named = 10

interface Parsed {
  readonly place: string
  readonly demonstration: Result.Result<Demonstration, string>
}

const records = (path: string): Stream.Stream<Parsed, FileUnreadable> =>
  RecordFile.batches(path).pipe(
    Stream.flattenIterable,
    Stream.map(({ line, value }) => ({
      place: `${path}:${line}`,
      demonstration: Result.flatMap(value, fromJson)
    }))
  )

/**
 * Reads the trajectories of files in order. What is too long for the model, earned too little or has no token of the
 * policy is left out and counted.
 *
 * @category readers
 * @since 0.1.0
 */
export const readExamples = Effect.fnUntraced(function*(
  files: ReadonlyArray<string>,
  options: { readonly minReward: Option.Option<number>; readonly skipBad: boolean; readonly limit: number }
) {
  const examples: Array<Finetune.Example> = []
  const left = { reward: 0, unknown: 0, long: 0, empty: 0, bad: 0 }
  let read = 0
  const take = Effect.fnUntraced(function*({ demonstration, place }: Parsed) {
    read++
    if (Result.isFailure(demonstration)) {
      const message = `${place}: ${demonstration.failure}`
      if (!options.skipBad) {
        return yield* userError(message, "With --skip-bad such records are left out.")
      }
      if (left.bad++ < named) yield* Console.error(`left out: ${message}`)
      return
    }
    const { reward } = demonstration.success
    if (Option.isSome(options.minReward) && (reward === null || reward < options.minReward.value)) {
      left[reward === null ? "unknown" : "reward"]++
      return
    }
    const example = yield* Finetune.toExample(demonstration.success, place)
    if (example.ids.length > options.limit) left.long++
    else if (!example.weights.includes(1)) left.empty++
    else examples.push(example)
  })
  for (const file of files) yield* Stream.runForEach(records(file), take)
  const told = [
    [left.reward, "with less reward"],
    [left.unknown, "without a reward"],
    [left.long, `longer than the model's ${options.limit} tokens`],
    [left.empty, "in which the policy wrote nothing"],
    [left.bad, "that cannot be read"]
  ] as const
  const causes = told.filter(([count]) => count > 0).map(([count, cause]) => `${count} ${cause}`).join(", ")
  if (files.length > 0 && examples.length === 0) {
    return yield* userError(
      `${files.join(", ")}: there is nothing to learn from${causes === "" ? ": no records" : ` (${causes})`}`
    )
  }
  return { examples, read, told: causes === "" ? "" : ` (left out: ${causes})` }
}, Effect.catchIf((error) => !CliError.isCliError(error), (error) => Effect.fail(userError(error))))
