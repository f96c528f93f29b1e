/**
 * Scripts of policies and recorded rollouts as files.
 *
 * @since 0.1.0
 */
import { Effect, Layer, Schema, Stream } from "effect"
import type { CliError } from "effect/cli"
import type { Trajectory } from "../domain/Trajectory.ts"
import * as PolicyScripted from "../layers/policy/PolicyScripted.ts"
import * as TextFile from "../layers/textFile.ts"
import type { PromptInstance } from "../programs/Rollout.ts"
import { RolloutLine } from "../programs/rollout/Record.ts"
import type { Policy } from "../services/Policy.ts"
import { Questions } from "../services/Questions.ts"
import type { Tokenizer } from "../services/Tokenizer.ts"
import { userError } from "./userError.ts"

const ScriptLine = Schema.fromJsonString(Schema.Struct({
  id: Schema.String,
  samples: Schema.NonEmptyArray(Schema.NonEmptyArray(Schema.String))
}))

const decodeLines = <A>(path: string, decode: (line: string) => Effect.Effect<A, Schema.SchemaError>) =>
  TextFile.stream(path).pipe(
    Stream.mapError((error) => userError(error)),
    Stream.splitLines,
    Stream.zipWithIndex,
    Stream.filter(([line]) => line.trim() !== ""),
    Stream.mapEffect(([line, index]) =>
      Effect.mapError(decode(line), (error) => userError(`${path}:${index + 1}: ${error.message}`))
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
    yield* Stream.runForEach(decodeLines(path, Schema.decodeEffect(ScriptLine)), ({ id, samples }) =>
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
  decodeLines(path, Schema.decodeEffect(RolloutLine)).pipe(
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
