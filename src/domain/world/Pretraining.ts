/**
 * The texts that a base model is made from: skilled in the parts of searching (copying names, reading passages, the
 * protocol's form) and unskilled in choosing between them, which is what reinforcement learning is for.
 *
 * @since 0.1.0
 */
import * as Prng from "../Prng.ts"
import * as Texts from "./PretrainingTexts.ts"
import * as Vocabulary from "./Vocabulary.ts"
import * as World from "./World.ts"
import * as WorldSearch from "./WorldSearch.ts"

/**
 * What the training texts are, and how they change with the step. Shares are of all examples; what they leave over are
 * rough transcripts.
 *
 * @category models
 * @since 0.1.0
 */
export interface Recipe {
  /** Decides every example: the batch of a step is the same in every run. */
  readonly seed: string
  readonly vocabulary: Vocabulary.Vocabulary
  readonly size: World.Size
  /** Examples of a batch, which is what one step takes. */
  readonly batchSize: number
  /** Steps at the beginning with nothing but copying (and the encyclopedia's share). */
  readonly copySteps: number
  readonly encyclopedia: number
  readonly repeated: number
  readonly quiz: number
  readonly reading: number
  readonly texts: Texts.Options
}

/**
 * The recipe that was found to work: 300 steps of copying; then 4 % encyclopedia, 12 % repeated passages, 30 % quiz, 20 %
 * reading and 34 % rough transcripts, 128 examples a batch.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultRecipe: Recipe = {
  seed: "0",
  vocabulary: Vocabulary.world,
  size: World.defaultSize,
  batchSize: 128,
  copySteps: 300,
  encyclopedia: 0.04,
  repeated: 0.12,
  quiz: 0.3,
  reading: 0.2,
  texts: Texts.defaultOptions
}

const example = (recipe: Recipe, step: number, prng: Prng.Prng, source: Texts.Source): Texts.Example => {
  let draw = prng.float()
  if (draw < recipe.encyclopedia) return Texts.encyclopedia(source, prng)
  if (step < recipe.copySteps) return Texts.repeated(source, prng)
  draw -= recipe.encyclopedia
  if (draw < recipe.repeated) return Texts.repeated(source, prng)
  draw -= recipe.repeated
  if (draw < recipe.quiz) return Texts.quiz(source, prng)
  draw -= recipe.quiz
  return draw < recipe.reading
    ? Texts.reading(source, prng, recipe.texts)
    : Texts.transcript(source, prng, recipe.texts)
}

/**
 * The source of texts about the world of a seed.
 *
 * @category constructors
 * @since 0.1.0
 */
export const source = (
  seed: string,
  { size, vocabulary }: Pick<Recipe, "size" | "vocabulary">
): Texts.Source => {
  const world = World.make({ seed, size })
  return { world, vocabulary, search: WorldSearch.make(world, vocabulary) }
}

/**
 * The examples of a step (from 0). Every step has a world of its own, so that nothing about it can be learned but how to
 * read it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const batch = (recipe: Recipe, step: number): ReadonlyArray<Texts.Example> => {
  const seed = `${recipe.seed}/pretraining/${step}`
  const own = source(seed, recipe)
  const prng = Prng.make(`${seed}/examples`)
  return Array.from({ length: recipe.batchSize }, () => example(recipe, step, prng, own))
}

/**
 * The batches from a step on, without end.
 *
 * @category constructors
 * @since 0.1.0
 */
export function* batches(recipe: Recipe, from = 0): Generator<ReadonlyArray<Texts.Example>> {
  for (let step = from;; step++) yield batch(recipe, step)
}
