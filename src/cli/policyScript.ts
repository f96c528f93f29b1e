/**
 * Scripts of policies and recorded rollouts as files.
 *
 * @since 0.1.0
 */
import { Effect, Layer, Result, Schema, Stream } from "effect"
import type { CliError } from "effect/cli"
import { isFields, textOf } from "../domain/RecordFields.ts"
import type { Trajectory } from "../domain/Trajectory.ts"
import * as PolicyScripted from "../layers/policy/PolicyScripted.ts"
import * as RecordFile from "../layers/recordFile.ts"
import type { PromptInstance } from "../programs/Rollout.ts"
import { RolloutRecord } from "../programs/rollout/Record.ts"
import type { Policy } from "../services/Policy.ts"
import { Questions } from "../services/Questions.ts"
import type { Tokenizer } from "../services/Tokenizer.ts"
import { userError } from "./userError.ts"

const Script = Schema.Struct({
  id: Schema.String,
  samples: Schema.NonEmptyArray(Schema.NonEmptyArray(Schema.String))
})

/** A script whose question's id may be a number, as in files of questions. */
const decodeScript = (value: unknown) =>
  Schema.decodeUnknownResult(Script)(isFields(value) ? { ...value, id: textOf(value["id"]) ?? value["id"] } : value)

const decodeRollout = Schema.decodeUnknownResult(Schema.toCodecJson(RolloutRecord))

const records = <A>(path: string, decode: (value: unknown) => Result.Result<A, Schema.SchemaError>) =>
  RecordFile.batches(path).pipe(
    Stream.mapError((error) => userError(error)),
    Stream.flattenIterable,
    Stream.mapEffect(({ line, value }) =>
      Effect.fromResult(Result.mapError(
        Result.flatMap(value, (value) => Result.mapError(decode(value), (error) => error.message)),
        (reason) => userError(`${path}:${line}: ${reason}`)
      ))
    )
  )

/**
 * A scripted policy from a file of lines `{"id": question, "samples": [[turn, …], …]}`. Sample `i` of a question says
 * the turns of entry `i` (they repeat beyond the last one).
 *
 * @category layers
 * @since 0.1.0
 */
export const layerScript = (
  path: string,
  questionOf: (promptKey: string) => string
): Layer.Layer<Policy, CliError.UserError, Tokenizer> =>
  Layer.unwrap(Effect.gen(function*() {
    const scripts = new Map<string, ReadonlyArray<ReadonlyArray<string>>>()
    yield* Stream.runForEach(records(path, decodeScript), ({ id, samples }) =>
      Effect.sync(() => scripts.set(id, samples)))
    return PolicyScripted.layer(({ promptKey, sample, turn }) => {
      const samples = scripts.get(questionOf(promptKey)) ?? []
      const turns = samples[sample % Math.max(1, samples.length)] ?? []
      return turns[Math.min(turn, turns.length - 1)] ?? ""
    })
  }))

/**
 * The trajectories of a file that `rollout --out` wrote. Failed rollouts in it are passed over.
 *
 * @category readers
 * @since 0.1.0
 */
export const readTrajectories = (
  path: string
): Effect.Effect<ReadonlyArray<Trajectory>, CliError.UserError> =>
  records(path, decodeRollout).pipe(
    Stream.flatMap((record) => record._tag === "Scored" ? Stream.succeed(record.scored.trajectory) : Stream.empty),
    Stream.runCollect
  )

/** The id of the question that a prompt key of {@link promptsOf} stands for. */
export const questionOf = (promptKey: string): string => promptKey.slice(promptKey.indexOf("#") + 1)

/**
 * The questions of the environment as prompt instances whose keys tell the question's id.
 *
 * @category constructors
 * @since 0.1.0
 */
export const promptsOf: Stream.Stream<PromptInstance, CliError.UserError, Questions> = Stream.unwrap(
  Questions.useSync((questions) =>
    questions.all.pipe(
      Stream.mapError((error) => userError(error)),
      Stream.zipWithIndex,
      Stream.map(([question, index]) => ({ promptKey: `${index}#${question.id}`, question }))
    )
  )
)
