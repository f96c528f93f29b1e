/**
 * Questions about a fictional encyclopedia, with answers, the passages that hold them, and hops.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import type * as Prng from "../Prng.ts"
import { Question } from "../Question.ts"
import { type EntityKind, fill, type Relation, relationsOf, type ValueKind } from "./Relations.ts"
import type { Entity, Fact, World } from "./World.ts"

/**
 * Kinds of questions: a chain of relations from one entity; which of two entities has a value; whether two have the
 * same.
 *
 * @category models
 * @since 0.1.0
 */
export type QuestionKind = "chain" | "comparison" | "yesno"

/**
 * How often which questions are drawn. `hops` are the weights of chains of one, two and three relations; `comparison`
 * and `yesno` are shares of all questions. Luck hits half of the latter two, so they are left out of training unless
 * asked for.
 *
 * @category models
 * @since 0.1.0
 */
export interface Mix {
  readonly hops: readonly [one: number, two: number, three: number]
  readonly comparison: number
  readonly yesno: number
}

/**
 * The mix of the training recipe: chains of one, two and three hops, 40, 50 and 10 %.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultMix: Mix = { hops: [0.4, 0.5, 0.1], comparison: 0, yesno: 0 }

/**
 * Why a mix cannot be drawn from, or nothing.
 *
 * @category validation
 * @since 0.1.0
 */
export const mixProblem = ({ comparison, hops, yesno }: Mix): string | undefined => {
  const sum = hops[0] + hops[1] + hops[2]
  if (hops.some((weight) => !(weight >= 0)) || !Number.isFinite(sum)) return "weights of hops must be 0 or more"
  if (!(comparison >= 0) || !(yesno >= 0) || comparison + yesno > 1) {
    return "the shares of comparison and yes/no questions must be 0 or more, and 1 at most together"
  }
  return sum > 0 || comparison + yesno === 1 ? undefined : "one of the weights of hops must be above 0"
}

/**
 * A question with everything that is known about it.
 *
 * @category models
 * @since 0.1.0
 */
export interface WorldQuestion {
  /** Equal for equal questions of a world. */
  readonly key: string
  readonly kind: QuestionKind
  /** Facts to combine. */
  readonly hops: number
  readonly text: string
  readonly answer: string
  /** Entities whose passages hold the answer, in the order in which a chain leads through them. */
  readonly gold: ReadonlyArray<number>
  /** What could be the answer for all that the question tells: a kind of things, or one of two words. */
  readonly candidates: ValueKind | readonly [string, string]
}

const pick = <A>(prng: Prng.Prng, values: ReadonlyArray<A>): A => {
  const value = values[prng.below(values.length)]
  if (value === undefined) throw new RangeError("nothing to pick from")
  return value
}

const kindWeights: ReadonlyArray<readonly [EntityKind, number]> = [["person", 0.6], ["company", 0.25], ["city", 0.15]]

const drawKind = (prng: Prng.Prng): EntityKind => {
  let draw = prng.float()
  for (const [kind, weight] of kindWeights) {
    draw -= weight
    if (draw < 0) return kind
  }
  return "person"
}

const drawEntity = (world: World, prng: Prng.Prng, kind: EntityKind): Entity => {
  const { count, start } = world.range(kind)
  return world.entity(start + prng.below(count))
}

const goesOn = ({ noun }: Relation): boolean => noun !== undefined

const bridges: Readonly<Record<EntityKind, ReadonlyArray<Relation>>> = {
  person: relationsOf.person.filter(goesOn),
  company: relationsOf.company.filter(goesOn),
  city: relationsOf.city.filter(goesOn)
}

const factOf = (entity: Entity, relation: Relation): Fact => {
  const fact = entity.facts.find((fact) => fact.relation === relation)
  if (fact === undefined) throw new RangeError(`${entity.name} has no fact of "${relation.question}"`)
  return fact
}

/** A chain of `hops` relations, or nothing where it comes back to an entity that it has been through. */
const drawChain = (world: World, prng: Prng.Prng, hops: number): WorldQuestion | undefined => {
  const start = drawEntity(world, prng, drawKind(prng))
  const gold = [start.index]
  let entity = start
  let subject = start.name
  let key = String(start.index)
  for (let hop = 1;; hop++) {
    const relation = pick(prng, hop === hops ? relationsOf[entity.kind] : bridges[entity.kind])
    const fact = factOf(entity, relation)
    key += `/${relationsOf[entity.kind].indexOf(relation)}`
    if (fact.entity !== undefined && gold.includes(fact.entity)) return undefined
    if (hop === hops || fact.entity === undefined) {
      return {
        key,
        kind: "chain",
        hops,
        text: fill(relation.question, { s: subject }),
        answer: fact.value,
        gold,
        candidates: relation.object
      }
    }
    gold.push(fact.entity)
    entity = world.entity(fact.entity)
    subject = `the ${relation.noun} of ${subject}`
  }
}

const pairKey = (kind: string, relation: Relation, a: Entity, b: Entity): string =>
  `${kind}/${relationsOf[relation.subject].indexOf(relation)}/${Math.min(a.index, b.index)}/${
    Math.max(a.index, b.index)
  }`

const drawComparison = (world: World, prng: Prng.Prng): WorldQuestion | undefined => {
  const kind = drawKind(prng)
  const relation = pick(prng, relationsOf[kind])
  const right = drawEntity(world, prng, kind)
  const other = drawEntity(world, prng, kind)
  const { entity, value } = factOf(right, relation)
  // a value that is one of the two would give the answer away
  if (value === factOf(other, relation).value || entity === other.index) return undefined
  const [a, b] = prng.below(2) === 0 ? [right, other] : [other, right]
  return {
    key: `${pairKey("which", relation, a, b)}/${right.index}`,
    kind: "comparison",
    hops: 2,
    text: fill(relation.which, { o: value, a: a.name, b: b.name }),
    answer: right.name,
    gold: [a.index, b.index],
    candidates: [a.name, b.name]
  }
}

const comparable = {
  person: relationsOf.person.filter(({ same }) => same !== undefined),
  company: relationsOf.company.filter(({ same }) => same !== undefined),
  city: relationsOf.city.filter(({ same }) => same !== undefined)
}

/** As many have yes for an answer as no: the answer is drawn first, then a pair that it is true of. */
const drawYesNo = (world: World, prng: Prng.Prng): WorldQuestion | undefined => {
  const kind = drawKind(prng)
  const relation = pick(prng, comparable[kind])
  const wanted = prng.below(2) === 0
  const a = drawEntity(world, prng, kind)
  const { value } = factOf(a, relation)
  for (let attempt = 0; attempt < 64; attempt++) {
    const b = drawEntity(world, prng, kind)
    if (a.index === b.index || (factOf(b, relation).value === value) !== wanted) continue
    return {
      key: pairKey("same", relation, a, b),
      kind: "yesno",
      hops: 2,
      text: fill(relation.same ?? "", { a: a.name, b: b.name }),
      answer: wanted ? "yes" : "no",
      gold: [a.index, b.index],
      candidates: ["yes", "no"]
    }
  }
  return undefined
}

type Draw = (world: World, prng: Prng.Prng) => WorldQuestion | undefined

const oneHop: Draw = (world, prng) => drawChain(world, prng, 1)
const twoHops: Draw = (world, prng) => drawChain(world, prng, 2)
const threeHops: Draw = (world, prng) => drawChain(world, prng, 3)

const drawClass = (prng: Prng.Prng, { comparison, hops: [one, two, three], yesno }: Mix): Draw => {
  const kind = prng.float()
  const hops = prng.float() * (one + two + three)
  if (kind < comparison) return drawComparison
  if (kind < comparison + yesno) return drawYesNo
  return hops < one ? oneHop : hops < one + two ? twoHops : threeHops
}

/**
 * Draws a question. The entities of a chain, its answer included, are all different.
 *
 * @category constructors
 * @since 0.1.0
 */
export const draw = (world: World, prng: Prng.Prng, mix: Mix = defaultMix): WorldQuestion => {
  const drawOne = drawClass(prng, mix)
  for (;;) {
    const question = drawOne(world, prng)
    if (question !== undefined) return question
  }
}

/** Draws without a new question after which there is taken to be none. */
const patience = 2_000

/**
 * Different questions of a world in the proportions of `mix`, until there is no further one. Remembers the questions
 * that it has made, so its memory grows with them; that of the world does not.
 *
 * @category constructors
 * @since 0.1.0
 */
export function* distinct(world: World, prng: Prng.Prng, mix: Mix = defaultMix): Generator<WorldQuestion> {
  const known = new Set<string>()
  for (;;) {
    const drawOne = drawClass(prng, mix)
    let found: WorldQuestion | undefined
    for (let attempt = 0; attempt < patience && found === undefined; attempt++) {
      const question = drawOne(world, prng)
      if (question !== undefined && !known.has(question.key)) found = question
    }
    if (found === undefined) return
    known.add(found.key)
    yield found
  }
}

/**
 * The question of one hop about the fact.
 *
 * @category constructors
 * @since 0.1.0
 */
export const ofFact = (entity: Entity, { relation, value }: Fact): Pick<WorldQuestion, "text" | "answer"> => ({
  text: fill(relation.question, { s: entity.name }),
  answer: value
})

/**
 * A wrong or right answer of the kind that the question asks for, drawn without knowing anything.
 *
 * @category constructors
 * @since 0.1.0
 */
export const guess = (world: World, prng: Prng.Prng, { candidates }: WorldQuestion): string =>
  typeof candidates === "string" ? world.guess(prng, candidates) : pick(prng, candidates)

/**
 * The names by which metrics tell the kinds of questions apart.
 *
 * @category constants
 * @since 0.1.0
 */
export const dataSources: Readonly<Record<QuestionKind, string>> = {
  chain: "world",
  comparison: "world_comparison",
  yesno: "world_yesno"
}

/**
 * The question as rollouts and rewards take it.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toQuestion = (question: WorldQuestion, id: string): Question =>
  new Question({
    id,
    dataSource: dataSources[question.kind],
    question: question.text,
    goldenAnswers: [question.answer],
    goldIds: question.gold.map(String),
    hops: question.hops
  })

/**
 * A world has fewer different questions than were asked for.
 *
 * @category errors
 * @since 0.1.0
 */
export class QuestionsExhausted extends Schema.TaggedError<QuestionsExhausted>()("QuestionsExhausted", {
  wanted: Schema.Natural,
  found: Schema.Natural
}) {
  override get message() {
    return `${this.wanted} different questions of this mix are more than the world has: ${this.found} were found`
  }
}
