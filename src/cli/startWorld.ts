/**
 * Worlds that runs learn in and are judged on, as files.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { formatLine } from "../domain/Corpus.ts"
import type { Document } from "../domain/Document.ts"
import type { Question } from "../domain/Question.ts"
import * as HeldOut from "../domain/world/HeldOut.ts"
import * as World from "../domain/world/World.ts"
import * as AtomicFile from "../layers/atomicFile.ts"
import { heldOutExam } from "./heldOutExam.ts"
import { userError } from "./userError.ts"

const corpusText = (documents: Iterable<Document>): string => `${Array.from(documents, formatLine).join("\n")}\n`

const questionsText = (questions: ReadonlyArray<Question>): string =>
  `${
    questions.map(({ dataSource, goldIds, goldenAnswers, hops, id, question }) =>
      JSON.stringify({
        id,
        data_source: dataSource,
        question,
        golden_answers: goldenAnswers,
        metadata: { hops, gold_ids: goldIds }
      })
    ).join("\n")
  }\n`

/**
 * Writes a seed's world to learn in (`corpus.jsonl`, `train.jsonl`) and its held-out world (`held-out-corpus.jsonl`,
 * `held-out.jsonl`) into a directory.
 *
 * @category writers
 * @since 0.1.0
 */
export const write = Effect.fn("Cli.writeWorlds")(function*(directory: string, seed: number, heldOutQuestions: number) {
  const training = HeldOut.exam({ seed: `start/${seed}`, count: 2000 })
  const heldOut = heldOutExam(seed, heldOutQuestions)
  yield* Effect.forEach(
    [
      ["corpus", corpusText(World.documents(training.world))],
      ["train", questionsText(training.questions)],
      ["held-out-corpus", corpusText(World.documents(heldOut.world))],
      ["held-out", questionsText(heldOut.questions)]
    ] as const,
    ([name, text]) => AtomicFile.writeString(`${directory}/${name}.jsonl`, text),
    { discard: true }
  ).pipe(Effect.mapError((error) => userError(error)))
  return { training, heldOut }
})
