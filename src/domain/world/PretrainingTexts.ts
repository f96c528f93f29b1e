/**
 * The kinds of texts that a base model is made from.
 *
 * Everything is put together as a rollout would: prompts and observations are formatted by the project's own code and
 * encoded piece by piece.
 *
 * @since 0.1.0
 */
import { informationObservation } from "../Observation.ts"
import { fixed } from "../Presets.ts"
import * as Prng from "../Prng.ts"
import { formatDocuments, renderPrompt } from "../Protocol.ts"
import type { Vocabulary } from "./Vocabulary.ts"
import { document, type World } from "./World.ts"
import * as WorldQuestion from "./WorldQuestion.ts"
import type { WorldSearch } from "./WorldSearch.ts"

/**
 * Kinds of texts: plain passages, passages twice, questions behind passages, one question with its passages and answer,
 * and transcripts of searching without a plan.
 *
 * @category models
 * @since 0.1.0
 */
export type ExampleKind = "encyclopedia" | "repeated" | "quiz" | "reading" | "transcript"

/**
 * One text, shape `[tokens]` both: its ids, and 1 for each token that the model shall learn to predict.
 *
 * @category models
 * @since 0.1.0
 */
export interface Example {
  readonly kind: ExampleKind
  readonly ids: Int32Array
  readonly lossMask: Uint8Array
}

/**
 * A world to write about, the words to do it with, and a search over it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Source {
  readonly world: World
  readonly vocabulary: Vocabulary
  readonly search: WorldSearch
}

/**
 * How questions are drawn, and how rough transcripts behave.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly mix: WorldQuestion.Mix
  /** Passages of a search: one of these numbers for all searches of a transcript. */
  readonly topK: ReadonlyArray<number>
  /**
   * Probability of searching (and not answering) at each turn. The first number decides what the model does greedily: well
   * under one half it answers at once, and how to search is left to reinforcement learning.
   */
  readonly search: ReadonlyArray<number>
  /** Probability that a query is the next entity on the way to the answer. */
  readonly next: number
  /** Probability that a query is the question's entity or one read about, drawn after `next`. */
  readonly again: number
  /** Probability that a query is replaced by the name of anything. */
  readonly random: number
  /** Probability of the right answer where everything needed has been read; otherwise it is a guess. */
  readonly right: number
}

/**
 * @category constants
 * @since 0.1.0
 */
export const defaultOptions: Options = {
  mix: WorldQuestion.defaultMix,
  topK: [1, 2],
  search: [0.36, 0.6, 0.5, 0.25],
  next: 0.6,
  again: 0.2,
  random: 0.06,
  right: 0.9
}

/** The thought before a search. */
const lookUp = "<think> look up </think>"

/** The thought before an answer. */
const done = "<think> done </think>"

const searchTurn = (query: string): string => `${lookUp} <search> ${query} </search>`

const endOfText = "<eos>"

const observationOptions = {
  maxTokens: 500,
  truncation: fixed.obsTruncation,
  neutralizeTags: fixed.tagNeutralisation
} as const

/** Puts a text together from pieces that are to be learned or not. */
const writing = (vocabulary: Vocabulary) => {
  const pieces: Array<{ readonly ids: Int32Array; readonly learned: boolean }> = []
  let length = 0
  const append = (ids: Int32Array, learned: boolean): void => {
    pieces.push({ ids, learned })
    length += ids.length
  }
  return {
    append,
    given: (text: string): void => append(vocabulary.encode(text), false),
    learned: (text: string): void => append(vocabulary.encode(text), true),
    finish: (kind: ExampleKind): Example => {
      const ids = new Int32Array(length)
      const lossMask = new Uint8Array(length)
      let start = 0
      for (const piece of pieces) {
        ids.set(piece.ids, start)
        if (piece.learned) lossMask.fill(1, start, start + piece.ids.length)
        start += piece.ids.length
      }
      // nothing comes before the first token that could predict it
      lossMask[0] = 0
      return { kind, ids, lossMask }
    }
  }
}

const observe = ({ vocabulary, world }: Source, indices: ReadonlyArray<number>): Int32Array =>
  informationObservation(vocabulary, indices.map((index) => document(world, index)), observationOptions).ids

const pick = <A>(prng: Prng.Prng, values: ReadonlyArray<A>): A => {
  const value = values[prng.below(values.length)]
  if (value === undefined) throw new RangeError("nothing to pick from")
  return value
}

/** `count` passages, all different. */
const passages = ({ world }: Source, prng: Prng.Prng, count: number): ReadonlyArray<number> => {
  const drawn = new Set<number>()
  while (drawn.size < count) drawn.add(prng.below(world.entities))
  return [...drawn]
}

const passagesText = (source: Source, indices: ReadonlyArray<number>): string =>
  formatDocuments(indices.map((index) => document(source.world, index)))

/**
 * Three passages as they are, all of it to be learned: what words follow each other.
 *
 * @category constructors
 * @since 0.1.0
 */
export const encyclopedia = (source: Source, prng: Prng.Prng): Example => {
  const text = writing(source.vocabulary)
  text.learned(passagesText(source, passages(source, prng, 3)))
  return text.finish("encyclopedia")
}

/**
 * Two passages, and then the same two again; the second time is to be learned. Teaches copying, without which reading is
 * learned late or never.
 *
 * @category constructors
 * @since 0.1.0
 */
export const repeated = (source: Source, prng: Prng.Prng): Example => {
  const text = writing(source.vocabulary)
  const encoded = source.vocabulary.encode(passagesText(source, passages(source, prng, 2)))
  text.append(encoded, false)
  text.append(encoded, true)
  return text.finish("repeated")
}

/**
 * Passages, then five questions about them with their answers: dense practice in reading. Three questions of ten are one
 * of several hops whose passages are all there.
 *
 * @category constructors
 * @since 0.1.0
 */
export const quiz = (source: Source, prng: Prng.Prng): Example => {
  const { vocabulary, world } = source
  const main = WorldQuestion.draw(world, prng, { hops: [0.2, 0.6, 0.2], comparison: 0, yesno: 0 })
  const indices = [...main.gold]
  while (indices.length < 3) indices.push(prng.below(world.entities))
  const shown = Prng.shuffle(prng, indices)
  const text = writing(vocabulary)
  text.append(observe(source, shown), false)
  for (let number = 0; number < 5; number++) {
    const entity = world.entity(pick(prng, shown))
    const question = prng.float() < 0.3 ? main : WorldQuestion.ofFact(entity, pick(prng, entity.facts))
    text.given(`${renderPrompt("search", question.text)}<answer>`)
    text.learned(`${question.answer} </answer>`)
  }
  return text.finish("quiz")
}

/**
 * A question, its passages among others, and the right answer, which alone is to be learned.
 *
 * @category constructors
 * @since 0.1.0
 */
export const reading = (source: Source, prng: Prng.Prng, options: Pick<Options, "mix"> = defaultOptions): Example => {
  const question = WorldQuestion.draw(source.world, prng, options.mix)
  const indices = [...question.gold]
  const others = prng.below(4)
  for (let other = 0; other < others && indices.length < 5; other++) indices.push(prng.below(source.world.entities))
  const text = writing(source.vocabulary)
  text.given(renderPrompt("search", question.text))
  text.append(observe(source, Prng.shuffle(prng, indices)), false)
  text.given(`${done} <answer>`)
  text.learned(`${question.answer} </answer> ${endOfText}`)
  return text.finish("reading")
}

/**
 * A rough transcript with what it is: how often it searches, and whether its answer is right.
 *
 * @category models
 * @since 0.1.0
 */
export interface Transcript extends Example {
  readonly question: WorldQuestion.WorldQuestion
  readonly queries: ReadonlyArray<string>
  readonly answer: string
}

const query = (
  { world }: Source,
  prng: Prng.Prng,
  options: Options,
  known: {
    readonly question: WorldQuestion.WorldQuestion
    readonly seen: ReadonlySet<number>
    readonly mentioned: ReadonlyArray<number>
  }
): number => {
  const { gold } = known.question
  const need = gold.find((index) => !known.seen.has(index))
  const draw = prng.float()
  const of = (indices: ReadonlyArray<number>): number => pick(prng, indices)
  const chosen = need !== undefined && draw < options.next
    ? need
    : known.mentioned.length === 0
    ? of(gold.slice(0, 1))
    : draw < options.next + options.again && prng.float() < 0.6
    ? of(gold.slice(0, 1))
    : of(known.mentioned)
  return prng.float() < options.random ? prng.below(world.entities) : chosen
}

/**
 * A whole trajectory in the protocol's form that searches for the right thing, another thing or nothing, at random. What
 * the policy writes is to be learned, prompt and observations are not.
 *
 * @category constructors
 * @since 0.1.0
 */
export const transcript = (source: Source, prng: Prng.Prng, options: Options = defaultOptions): Transcript => {
  const { vocabulary, world } = source
  const question = WorldQuestion.draw(world, prng, options.mix)
  const topK = pick(prng, options.topK)
  const seen = new Set<number>()
  const mentioned: Array<number> = []
  const queries: Array<string> = []
  const text = writing(vocabulary)
  text.given(renderPrompt("search", question.text))
  for (const probability of options.search) {
    if (prng.float() >= probability) break
    const name = world.nameOf(query(source, prng, options, { question, seen, mentioned }))
    const found = source.search.search(name, topK)
    queries.push(name)
    for (const index of found) {
      seen.add(index)
      for (const fact of world.entity(index).facts) {
        if (fact.entity !== undefined) mentioned.push(fact.entity)
      }
    }
    text.learned(searchTurn(name))
    text.append(observe(source, found), false)
  }
  const answer = conclude(source, prng, options, { question, seen, mentioned })
  text.learned(`${done} <answer> ${answer} </answer> ${endOfText}`)
  return { ...text.finish("transcript"), question, queries, answer }
}

const conclude = (
  { world }: Source,
  prng: Prng.Prng,
  options: Options,
  known: {
    readonly question: WorldQuestion.WorldQuestion
    readonly seen: ReadonlySet<number>
    readonly mentioned: ReadonlyArray<number>
  }
): string => {
  const { question } = known
  if (question.gold.every((index) => known.seen.has(index)) && prng.float() < options.right) return question.answer
  const plausible = known.mentioned.filter((index) => world.entity(index).kind === question.candidates)
  return plausible.length > 0 && prng.float() < 0.7
    ? world.nameOf(pick(prng, plausible))
    : WorldQuestion.guess(world, prng, question)
}
