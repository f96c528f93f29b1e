/**
 * Recorded trajectories as examples to learn from.
 *
 * @since 0.1.0
 */
import { Console, Effect, type FileSystem, Option, Path, Result, Stream } from "effect"
import { CliError } from "effect/cli"
import { type Demonstration, fromJson } from "../domain/Demonstration.ts"
import type { PolicySource } from "../domain/PolicySource.ts"
import { shellPath } from "../domain/ShellWord.ts"
import * as ContentHash from "../layers/contentHash.ts"
import { incremental } from "../layers/hash.ts"
import * as RecordFile from "../layers/recordFile.ts"
import type { FileUnreadable } from "../layers/textFile.ts"
import * as Finetune from "../programs/Finetune.ts"
import * as RunFolder from "./runFolder.ts"
import { modelOf } from "./trainServices.ts"
import { userError } from "./userError.ts"

/** What stands for the examples in a plan: their hash. */
export const digestOf = (examples: ReadonlyArray<Finetune.Example>): string => {
  const digest = incremental()
  for (const { ids, weights } of examples) digest.update(ids).update(weights)
  return `sha256:${digest.digest("hex")}`
}

/** Records that cannot be read are named one by one up to this number. */
const named = 10

/**
 * The model that is to learn; `hash` is that of its files. `told` is false where nobody named one: then the data must not be
 * another's.
 *
 * @category models
 * @since 0.2.0
 */
export interface Learner {
  readonly model: string
  readonly hash: string
  readonly told: boolean
}

interface Parsed {
  readonly place: string
  readonly demonstration: Result.Result<Demonstration, string>
  /** Which policy made it, where the record or the run that it lies in says so. */
  readonly madeBy: PolicySource | null
}

/** The policy of a run whose log a file is. */
const loggedBy = Effect.fnUntraced(function*(file: string) {
  const { basename, dirname, resolve } = yield* Path.Path
  const log = dirname(resolve(file))
  if (basename(log) !== "log") return null
  const folder = yield* RunFolder.at(dirname(log))
  const config = Option.getOrUndefined(yield* Effect.option(RunFolder.readConfig(folder)))
  if (config === undefined) return null
  const path = modelOf(config)
  const sha256 = yield* Effect.orElseSucceed(ContentHash.ofModel(path), () => "")
  const source: PolicySource = { kind: "run", place: folder.directory, model: { path, sha256 } }
  return source
})

const records = (path: string): Stream.Stream<Parsed, FileUnreadable, FileSystem.FileSystem | Path.Path> =>
  Stream.unwrap(Effect.map(loggedBy(path), (run) =>
    RecordFile.batches(path).pipe(
      Stream.flattenIterable,
      Stream.map(({ line, value }) => {
        const demonstration = Result.flatMap(value, fromJson)
        return {
          place: `${path}:${line}`,
          demonstration,
          madeBy: Result.isSuccess(demonstration) ? demonstration.success.madeBy ?? run : null
        }
      })
    )))

const describe = ({ kind, model, place }: PolicySource): string =>
  kind === "run" ? `the run ${place}${model === null ? "" : ` (from the model ${model.path})`}` : `the ${kind} ${place}`

const refusal = (place: string, made: string, learner: string, name: string) =>
  userError(
    `${place} ${made}, and no model is named: this would fine-tune ${learner}, which ships with the package.`,
    `Name the model that is to learn: ${name}, or --model ${shellPath(learner)} for the one that ships.`
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
  options: {
    readonly minReward: Option.Option<number>
    readonly skipBad: boolean
    readonly limit: number
    readonly learner: Learner
  }
) {
  const examples: Array<Finetune.Example> = []
  const left = { reward: 0, unknown: 0, long: 0, empty: 0, bad: 0 }
  const { learner } = options
  const others = new Set<string>()
  let rendered = 0
  let encoded = 0
  let read = 0
  const isAnothers = ({ model }: PolicySource): boolean => model !== null && model.sha256 !== learner.hash
  const take = Effect.fnUntraced(function*({ demonstration, madeBy, place }: Parsed) {
    read++
    if (Result.isFailure(demonstration)) {
      const message = `${place}: ${demonstration.failure}`
      if (!options.skipBad) {
        return yield* userError(message, "With --skip-bad such records are left out.")
      }
      if (left.bad++ < named) yield* Console.error(`left out: ${message}`)
      return
    }
    if (madeBy !== null && isAnothers(madeBy)) {
      if (!learner.told) {
        const model = madeBy.model?.path ?? madeBy.place
        return yield* refusal(
          place,
          `was made by ${describe(madeBy)}`,
          learner.model,
          madeBy.kind === "run"
            ? `--run ${shellPath(madeBy.place)} goes on with what that run learned`
            : `--model ${shellPath(model)} goes on with that one`
        )
      }
      others.add(describe(madeBy))
    } else if (madeBy?.kind === "run") others.add(describe(madeBy))
    const { reward } = demonstration.success
    if (Option.isSome(options.minReward) && (reward === null || reward < options.minReward.value)) {
      left[reward === null ? "unknown" : "reward"]++
      return
    }
    const example = yield* Finetune.toExample(demonstration.success, place)
    if (example.foreignTokens) {
      if (!learner.told) {
        return yield* refusal(place, "holds the tokens of another model", learner.model, "--model DIR")
      }
      encoded++
    }
    if (example.rendered) rendered++
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
  const notes = [
    ...[...others].map((other) => `made by ${other}`),
    ...(rendered === 0 ? [] : [`${rendered} prompts rendered with this model's chat template`]),
    ...(encoded === 0 ? [] : [`${encoded} with tokens of another tokenizer, encoded anew`])
  ]
  return { examples, read, told: causes === "" ? "" : ` (left out: ${causes})`, notes }
}, Effect.catchIf((error) => !CliError.isCliError(error), (error) => Effect.fail(userError(error))))
