/**
 * What trained models are measured by at the command line: questions about a held-out world, searched with lunr.
 *
 * @since 0.1.0
 */
import { Console, Effect, Layer, Schema, Stream } from "effect"
import type { Document } from "../domain/Document.ts"
import { plural } from "../domain/Plural.ts"
import type { Question } from "../domain/Question.ts"
import type { RunConfig } from "../domain/RunConfigSchema.ts"
import { greedy, onPolicy } from "../domain/Sampling.ts"
import * as HeldOut from "../domain/world/HeldOut.ts"
import * as RetrieverCache from "../layers/retriever/RetrieverCache.ts"
import * as RetrieverLunr from "../layers/retriever/RetrieverLunr.ts"
import * as Evaluate from "../programs/Evaluate.ts"
import { rolloutOptions } from "../programs/train/Collect.ts"
import { table } from "./table.ts"
import { userError } from "./userError.ts"

/**
 * Scores on held-out questions: `em` greedy exact match, `em1` to `em3` by hops, `sampled` success at temperature 1,
 * `searches` a question.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Score = Schema.Struct({
  em: Schema.Finite,
  em1: Schema.Finite,
  em2: Schema.Finite,
  em3: Schema.Finite,
  sampled: Schema.Finite,
  searches: Schema.Finite
})

/**
 * @category models
 * @since 0.1.0
 */
export type Score = typeof Score.Type

/**
 * The held-out world of a seed and questions about it: the one that `start --seed` compares before and after on.
 *
 * @category constructors
 * @since 0.1.0
 */
export const heldOutExam = (seed: number, questions: number): HeldOut.Exam =>
  HeldOut.exam({ seed: `held-out/${seed}`, count: questions })

/**
 * Lunr over documents in memory, which no index on the disk is kept of.
 *
 * @category layers
 * @since 0.1.0
 */
export const lunrOf = (documents: Iterable<Document>) =>
  RetrieverCache.layer().pipe(
    Layer.provide(RetrieverLunr.layer(Stream.fromIterable(documents), { cacheDirectory: false }))
  )

const causes = ({ failures }: Evaluate.Evaluation): string =>
  Object.entries(failures).map(([name, count]) => `${count} ${name}`).join(", ")

/**
 * Answers the questions greedily and at temperature 1; `tick` runs with each that is answered. Failed rollouts count in no score and are told on standard error;
 * fails when none completed.
 *
 * @category programs
 * @since 0.1.0
 */
export const evaluateBoth = Effect.fn("Cli.evaluateBoth")(function*(
  config: RunConfig,
  questions: ReadonlyArray<Question>,
  tick: Effect.Effect<void> = Effect.void
) {
  const bounds = { ...rolloutOptions(config), groupSize: 1 }
  const asked = Stream.fromIterable(questions)
  const likeliest = yield* Evaluate.run(asked, { ...bounds, sampling: greedy }, () => tick)
  const sampled = yield* Evaluate.run(asked, { ...bounds, sampling: onPolicy }, () => tick)
  for (const evaluation of [likeliest, sampled]) {
    if (evaluation.total.n === 0) return yield* userError(`No rollout completed: ${causes(evaluation)}`)
    if (evaluation.failed > 0) {
      yield* Console.error(
        `${evaluation.failed} of ${plural(questions.length, "rollout")} failed: ${causes(evaluation)}`
      )
    }
  }
  const hop = (hops: number) => likeliest.hops[String(hops)]?.em ?? 0
  return Score.make({
    em: likeliest.total.em,
    em1: hop(1),
    em2: hop(2),
    em3: hop(3),
    sampled: sampled.total.em,
    searches: likeliest.total.searches
  })
})

/**
 * The cells of a score in a `scoreTable`.
 *
 * @category formatting
 * @since 0.1.0
 */
export const scoreRow = (name: string, score: Score): ReadonlyArray<string> => [
  name,
  ...[score.em, score.em1, score.em2, score.em3, score.sampled].map((value) => value.toFixed(2)),
  score.searches.toFixed(1)
]

/**
 * Scores under their headings.
 *
 * @category formatting
 * @since 0.1.0
 */
export const scoreTable = (
  questions: number,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  width?: number
): string =>
  table(
    [
      { heading: `${questions} held-out questions` },
      ...["EM", "1 hop", "2 hops", "3 hops", "sampled", "searches"]
        .map((heading) => ({ heading, align: "right" as const }))
    ],
    rows,
    width
  )
