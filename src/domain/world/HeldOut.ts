/**
 * What a base model is measured by: worlds that no training text was about, named by a seed of their own.
 *
 * @since 0.1.0
 */
import * as Prng from "../Prng.ts"
import type { Question } from "../Question.ts"
import * as Pretraining from "./Pretraining.ts"
import { reading } from "./PretrainingTexts.ts"
import type { Vocabulary } from "./Vocabulary.ts"
import * as World from "./World.ts"
import * as WorldQuestion from "./WorldQuestion.ts"

/**
 * The world of a seed that is kept for evaluation, and a stream of questions about it that can be cut anywhere.
 *
 * @category models
 * @since 0.1.0
 */
export interface Exam {
  readonly world: World.World
  readonly questions: ReadonlyArray<Question>
}

/**
 * Different questions about a held-out world: to answer greedily, or several times each for pass@k. Fewer than `count`
 * where the world has no more.
 *
 * @category constructors
 * @since 0.1.0
 */
export const exam = (options: {
  readonly seed: string
  readonly count: number
  readonly size?: World.Size | undefined
  readonly mix?: WorldQuestion.Mix | undefined
}): Exam => {
  const world = World.make({ seed: `${options.seed}/held-out`, size: options.size })
  const drawn = WorldQuestion.distinct(world, Prng.make(`${world.seed}/questions`), options.mix)
  const questions: Array<Question> = []
  for (const question of drawn) {
    if (questions.length === options.count) break
    questions.push(WorldQuestion.toQuestion(question, `${options.seed}_${questions.length}`))
  }
  return { world, questions }
}

/**
 * A question with its passages up to `<answer>`, and the ids of the right answer with its closing tag, which a model that
 * can read continues with.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReadingTask {
  readonly hops: number
  readonly prefix: Int32Array
  readonly answer: Int32Array
}

/** Worlds that reading tasks are about; each has its share of them. */
const readingWorlds = 8

/**
 * Reading tasks about held-out worlds, `perHops` for each number of hops, in turn.
 *
 * @category constructors
 * @since 0.1.0
 */
export const readingTasks = (options: {
  readonly seed: string
  readonly perHops: number
  readonly vocabulary: Vocabulary
  readonly size?: World.Size | undefined
}): ReadonlyArray<ReadingTask> => {
  const sources = Array.from(
    { length: readingWorlds },
    (_, index) =>
      Pretraining.source(`${options.seed}/held-out/reading/${index}`, {
        vocabulary: options.vocabulary,
        size: options.size ?? World.defaultSize
      })
  )
  const prng = Prng.make(`${options.seed}/held-out/reading`)
  const tasks: Array<ReadingTask> = []
  for (let index = 0; index < options.perHops; index++) {
    const source = sources[index % readingWorlds]
    if (source === undefined) continue
    for (const hops of [1, 2, 3]) {
      const weights = [hops === 1 ? 1 : 0, hops === 2 ? 1 : 0, hops === 3 ? 1 : 0] as const
      const { ids, lossMask } = reading(source, prng, { mix: { hops: weights, comparison: 0, yesno: 0 } })
      const start = lossMask.indexOf(1)
      // the end of text behind the answer is the rollout's business
      tasks.push({ hops, prefix: ids.slice(0, start), answer: ids.slice(start, -1) })
    }
  }
  return tasks
}

/**
 * The chance that at least one of `k` samples is right, estimated without bias from `right` of `samples`:
 * `1 - C(samples - right, k) / C(samples, k)` (Chen et al., arXiv 2107.03374, equation 1).
 *
 * @category estimators
 * @since 0.1.0
 */
export const passAtK = (samples: number, right: number, k: number): number => {
  if (samples - right < k) return 1
  let none = 1
  for (let index = samples - right + 1; index <= samples; index++) none *= 1 - k / index
  return 1 - none
}
