/**
 * What lies at a path that was given for something else: an index for a corpus, a run for a model, and how it is given.
 *
 * @since 0.2.0
 */
import { Effect, FileSystem, Layer, Option, Path, Result, Stream } from "effect"
import { CliError } from "effect/cli"
import * as Json from "../domain/Json.ts"
import { shellPath, shellWord } from "../domain/ShellWord.ts"
import { locate } from "../layers/model/location.ts"
import * as RecordFile from "../layers/recordFile.ts"
import { magic } from "../layers/retriever/indexfile/format.ts"
import { fileName as lanceFile } from "../layers/retriever/lance/description.ts"
import * as TextFile from "../layers/textFile.ts"
import { userError } from "./userError.ts"

/**
 * What a path may be given for.
 *
 * @category models
 * @since 0.2.0
 */
export type Kind = "corpus" | "index" | "questions" | "script" | "rollouts" | "run" | "model" | "configuration"

/**
 * A path and what it was given for.
 *
 * @category models
 * @since 0.2.0
 */
export interface Given {
  readonly kind: Kind
  readonly path: string
}

/**
 * How things are given to a command: a sentence for each kind that it takes somewhere.
 *
 * @category models
 * @since 0.2.0
 */
export type Ways = Partial<Record<Kind, (path: string) => string>>

const words: Readonly<Record<Kind, string>> = {
  corpus: "a corpus",
  index: "an index",
  questions: "a file of questions",
  script: "a script of a policy",
  rollouts: "a file of trajectories",
  run: "a run's directory",
  model: "a model",
  configuration: "a run's configuration"
}

/**
 * A kind that a flag takes.
 *
 * @category constructors
 * @since 0.2.0
 */
export const byFlag = (flag: string) => (path: string): string => `Give it as ${flag} ${shellPath(path)}.`

/**
 * What every command takes that searches.
 *
 * @category constants
 * @since 0.2.0
 */
export const searching: Ways = { corpus: byFlag("--corpus"), index: byFlag("--index") }

/**
 * What takes a model and no run.
 *
 * @category constants
 * @since 0.2.0
 */
export const model: Ways = {
  run: (path) => `"search-r1 runs export ${shellPath(path)} DIRECTORY" saves what it has learned as a model.`
}

/**
 * How a configuration takes what was given for something else.
 *
 * @category constants
 * @since 0.2.0
 */
export const configured: Ways = {
  ...model,
  corpus: (path) => `Give it by --set ${shellWord(`retriever.corpus=${path}`)}.`,
  index: (path) => `Give it by --set retriever.kind=index --set ${shellWord(`retriever.corpus=${path}`)}.`,
  questions: (path) => `Give it by --set ${shellWord(`questions.train=${path}`)}.`
}

/**
 * Paths of a kind, as flags give them.
 *
 * @category constructors
 * @since 0.2.0
 */
export const given = (kind: Kind, path: string | Option.Option<string> | null | undefined): ReadonlyArray<Given> =>
  path === null || path === undefined
    ? []
    : typeof path === "string"
    ? [{ kind, path }]
    : Option.toArray(Option.map(path, (path) => ({ kind, path })))

const has = (value: object, ...keys: ReadonlyArray<string>): boolean => keys.some((key) => key in value)

const kindOfObject = (value: unknown): Kind | undefined => {
  if (typeof value !== "object" || value === null) return undefined
  if (has(value, "samples")) return "script"
  if ("_tag" in value && (value._tag === "Scored" || value._tag === "Failed")) return "rollouts"
  // what has something of both may be either
  if (has(value, "response", "output", "messages", "segments")) return undefined
  if (has(value, "question") && has(value, "contents", "text")) return undefined
  if (has(value, "contents")) return "corpus"
  if (has(value, "question", "golden_answers", "reward_model")) return "questions"
  if (has(value, "algorithm") && has(value, "rollout", "presets", "retriever", "questions")) return "configuration"
  return has(value, "text") ? "corpus" : undefined
}

const isIndexFile = Effect.fnUntraced(function*(path: string) {
  const head = yield* Stream.runHead(TextFile.bytes(path))
  return Option.exists(head, (bytes) => magic.every((byte, at) => bytes[at] === byte))
})

const ofDirectory = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  const { join } = yield* Path.Path
  if (yield* fs.exists(join(path, lanceFile))) return "index"
  const text = yield* fs.readFileString(join(path, "config.json"))
  const config = Result.getOrElse(Json.parse(text), () => null)
  if (kindOfObject(config) === "configuration") return "run"
  return typeof config === "object" && config !== null && has(config, "model_type", "architectures", "hidden_size")
    ? "model"
    : undefined
})

/**
 * What lies at a path, where that can be told from how it begins.
 *
 * @category getters
 * @since 0.2.0
 */
export const kindOf = Effect.fnUntraced(function*(written: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* locate(written)
  const { type } = yield* fs.stat(path)
  if (type === "Directory") return yield* ofDirectory(path)
  if (type !== "File") return undefined
  if (yield* isIndexFile(path)) return "index"
  const first = yield* Stream.runHead(Stream.filter(RecordFile.batches(path), (batch) => batch.length > 0))
  return Option.match(first, {
    onNone: () => undefined,
    onSome: ([record]) => record === undefined ? undefined : kindOfObject(Result.getOrElse(record.value, () => null))
  })
}, Effect.orElseSucceed((): Kind | undefined => undefined))

/**
 * What is wrong with a path where something else lies there than it was given for.
 *
 * @category guards
 * @since 0.2.0
 */
export const mistaken = Effect.fnUntraced(function*({ kind, path }: Given, ways: Ways) {
  const found = yield* kindOf(path)
  // a question with something missing may have been meant for a trajectory: the record's own words say what is missing
  return found === undefined || found === kind || (found === "questions" && kind === "rollouts")
    ? Option.none()
    : Option.some(userError(`${path} is ${words[found]}, and ${words[kind]} is wanted.`, ways[found]?.(path)))
})

const messageOf = (error: unknown): string =>
  CliError.isCliError(error) && error._tag === "UserError"
    ? error.userMessage ?? error.message
    : error instanceof Error
    ? error.message
    : ""

/**
 * Makes a failure that is about one of the paths say what lies there, where that is something else than it was given for.
 *
 * @category combinators
 * @since 0.2.0
 */
export const explain = (paths: ReadonlyArray<Given>, ways: Ways) =>
<A, E, R>(
  work: Effect.Effect<A, E, R>
): Effect.Effect<A, E | CliError.UserError, R | FileSystem.FileSystem | Path.Path> =>
  Effect.catch(work, (error) =>
    Effect.gen(function*() {
      const message = messageOf(error)
      for (const one of paths) {
        // an error of reading begins with the place that it is about
        if (!message.startsWith(one.path)) continue
        const instead = yield* mistaken(one, ways)
        if (Option.isSome(instead)) return yield* Effect.fail(instead.value)
      }
      return yield* Effect.fail(error)
    }))

/**
 * {@link explain} of a layer that opens the paths.
 *
 * @category combinators
 * @since 0.2.0
 */
export const explainLayer = (paths: ReadonlyArray<Given>, ways: Ways) =>
<A, E, R>(
  layer: Layer.Layer<A, E, R>
): Layer.Layer<A, E | CliError.UserError, R | FileSystem.FileSystem | Path.Path> =>
  Layer.catch(layer, (error) => Layer.effectContext(explain(paths, ways)(Effect.fail(error))))
