/**
 * Evaluations during a run.
 *
 * @since 0.1.0
 */
import { Effect, Stream } from "effect"
import type { Question } from "../../domain/Question.ts"
import type { RunConfig } from "../../domain/RunConfigSchema.ts"
import * as RunPlan from "../../domain/RunPlan.ts"
import type { QuestionsUnreadable } from "../../services/Questions.ts"
import { Retriever } from "../../services/Retriever.ts"
import * as Evaluate from "../Evaluate.ts"
import { rolloutOptions } from "./Collect.ts"
import type { OnProgress } from "./Progress.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly evaluation?: Stream.Stream<Question, QuestionsUnreadable> | undefined
  readonly evaluationSize?: number | undefined
  readonly evaluationRetriever?: Retriever["Service"] | undefined
  readonly onProgress?: OnProgress | undefined
}

/**
 * Evaluates the policy as the configuration says; null where there are no questions for it.
 *
 * @category programs
 * @since 0.1.0
 */
export const evaluate = Effect.fn("Train.evaluate")(function*(config: RunConfig, step: number, options: Options) {
  if (options.evaluation === undefined) return null
  const limit = config.evaluation.questions
  const questions = limit === null ? options.evaluation : Stream.take(options.evaluation, limit)
  const size = options.evaluationSize ?? limit
  const total = size === null ? null : Math.min(size, limit ?? size)
  const { onProgress } = options
  const run = Evaluate.run(questions, {
    ...rolloutOptions(config),
    groupSize: 1,
    sampling: RunPlan.evaluationSampling(config)
  }, onProgress && ((done) => onProgress({ step, phase: "evaluation", done, total })))
  if (onProgress !== undefined) yield* onProgress({ step, phase: "evaluation", done: 0, total })
  return yield* options.evaluationRetriever === undefined
    ? run
    : Effect.provideService(run, Retriever, options.evaluationRetriever)
})

/**
 * An evaluation as metrics of its step.
 *
 * @category getters
 * @since 0.1.0
 */
export const metricsOf = (evaluation: Evaluate.Evaluation | null): Record<string, number> =>
  evaluation === null ? {} : {
    "val/em": evaluation.total.em,
    "val/searches": evaluation.total.searches,
    "val/failed": evaluation.failed,
    ...Object.fromEntries(
      Object.entries(evaluation.dataSources).map(([name, scores]) => [`val/test_score/${name}`, scores.em])
    ),
    ...Object.fromEntries(Object.entries(evaluation.hops).map(([hops, scores]) => [`val/em_hops/${hops}`, scores.em]))
  }
