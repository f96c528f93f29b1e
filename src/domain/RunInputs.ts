/**
 * What a run reads, by content: so that it is known for the same when it has been moved, and for another when it has been
 * changed where it lies.
 *
 * @since 0.2.0
 */
import { Schema } from "effect"

/**
 * One thing that is read. `key` is the one of the configuration that says where it is, `place` where it was. `sha256` is the
 * hash of what is there; of a server it is that of its answers to some questions.
 *
 * @category schemas
 * @since 0.2.0
 */
export const RunInput = Schema.Struct({
  key: Schema.Literals([
    "model",
    "questions.train",
    "retriever.corpus",
    "retriever.url",
    "questions.evaluate",
    "evaluation.corpus"
  ]),
  place: Schema.String,
  sha256: Schema.String,
  /** Of questions: the data source of those that name none. It was the name of their file, and is part of who they are. */
  dataSource: Schema.optionalKey(Schema.String)
})

/**
 * @category models
 * @since 0.2.0
 */
export type RunInput = typeof RunInput.Type

/**
 * Everything that a run read when it began.
 *
 * @category schemas
 * @since 0.2.0
 */
export const RunInputs = Schema.Struct({ version: Schema.Literal(1), inputs: Schema.Array(RunInput) })

/**
 * @category models
 * @since 0.2.0
 */
export type RunInputs = typeof RunInputs.Type

const names: Readonly<Record<RunInput["key"], string>> = {
  model: "model",
  "questions.train": "training questions",
  "retriever.corpus": "corpus or index",
  "retriever.url": "server",
  "questions.evaluate": "evaluation questions",
  "evaluation.corpus": "evaluation corpus"
}

/** What is learned depends on these. */
const decisive: ReadonlySet<RunInput["key"]> = new Set(["model", "questions.train", "retriever.corpus"])

/**
 * What is to be said before a run goes on: `refused` where it would be another run, `told` where only its evaluations, or a
 * server whose answers may vary, are others.
 *
 * @category models
 * @since 0.2.0
 */
export interface Comparison {
  readonly refused: ReadonlyArray<string>
  readonly told: ReadonlyArray<string>
}

/**
 * Compares what a run read when it began with what it would read now.
 *
 * @category getters
 * @since 0.2.0
 */
export const compare = (before: RunInputs, now: RunInputs): Comparison => {
  const refused: Array<string> = []
  const told: Array<string> = []
  for (const input of now.inputs) {
    const old = before.inputs.find(({ key }) => key === input.key)
    if (old === undefined || old.sha256 === input.sha256) continue
    if (input.key === "retriever.url") {
      told.push(
        `${input.place} does not answer as ${
          old.place === input.place ? "it did" : old.place
        } when the run began: the steps to come search something else`
      )
      continue
    }
    const what =
      `${input.place} (${input.key}) is not the ${names[input.key]} that the run began with: its SHA-256 was ` +
      `${old.sha256.slice(0, 12)}… and is ${input.sha256.slice(0, 12)}…`
    if (decisive.has(input.key)) refused.push(what)
    else told.push(`${what}; the evaluations to come cannot be compared with those before`)
  }
  return { refused, told }
}
