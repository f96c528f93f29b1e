/**
 * A fictional encyclopedia of people, companies and cities. Everything in it follows from its seed, nothing is stored:
 * any passage can be made at once, so a world of a million passages costs no more memory than one of forty.
 *
 * @since 0.1.0
 */
import { Result, Schema } from "effect"
import type { Document } from "../Document.ts"
import * as Prng from "../Prng.ts"
import * as Permutation from "./Permutation.ts"
import { type EntityKind, fill, type Relation, relationsOf, type ValueKind } from "./Relations.ts"
import { cityWords, companyWords, countryWords, jobs, nameParts, products } from "./Words.ts"

/**
 * The numbers of entities of a world.
 *
 * @category models
 * @since 0.1.0
 */
export interface Size {
  /** Even, for everyone is married. */
  readonly people: number
  readonly companies: number
  readonly cities: number
  readonly countries: number
}

/**
 * 300 people, 60 companies, 40 cities, 10 countries: a world that a model of a million weights learns to search.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultSize: Size = { people: 300, companies: 60, cities: 40, countries: 10 }

/**
 * The fewest and the most passages of a world.
 *
 * @category constants
 * @since 0.1.0
 */
export const passageLimits = { minimum: 20, maximum: 10_000_000 } as const

/**
 * A number of passages of which no world can be made.
 *
 * @category errors
 * @since 0.1.0
 */
export class WorldSizeInvalid extends Schema.TaggedError<WorldSizeInvalid>()("WorldSizeInvalid", {
  // NaN and infinity are among what is refused
  // @effect-diagnostics-next-line schemaNumber:off
  passages: Schema.Number
}) {
  override get message() {
    const { maximum, minimum } = passageLimits
    return `a world has ${minimum} to ${maximum} passages in whole numbers, not ${this.passages}`
  }
}

/**
 * Shares a number of passages out in the proportions of {@link defaultSize}.
 *
 * @category constructors
 * @since 0.1.0
 */
export const sizeOf = (passages: number): Result.Result<Size, WorldSizeInvalid> => {
  if (!Number.isInteger(passages) || passages < passageLimits.minimum || passages > passageLimits.maximum) {
    return Result.fail(new WorldSizeInvalid({ passages }))
  }
  const people = 2 * Math.round(0.375 * passages)
  const cities = Math.round(0.1 * passages)
  const countries = Math.min(200, Math.max(2, Math.round(cities / 4)))
  return Result.succeed({ people, companies: passages - people - cities, cities, countries })
}

/**
 * What the encyclopedia says: `value` is the name of the object, `entity` its number where it has a passage.
 *
 * @category models
 * @since 0.1.0
 */
export interface Fact {
  readonly relation: Relation
  readonly value: string
  readonly entity: number | undefined
}

/**
 * Something that has a passage: its number, name, facts in the order of the relations, and the passage's text.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entity {
  readonly index: number
  readonly kind: EntityKind
  readonly name: string
  readonly facts: ReadonlyArray<Fact>
  readonly text: string
}

/**
 * A fictional encyclopedia. Entities are numbered from 0: people, then companies, then cities.
 *
 * @category models
 * @since 0.1.0
 */
export interface World {
  readonly seed: string
  readonly size: Size
  /** Number of entities, which is the number of passages. */
  readonly entities: number
  /** The entity with the number `index` in [0, `entities`). */
  readonly entity: (index: number) => Entity
  /** The name of an entity, without making its passage. */
  readonly nameOf: (index: number) => string
  /** The number of the entity with this name, in upper or lower case. */
  readonly find: (name: string) => number | undefined
  /** First number and count of the entities of a kind. */
  readonly range: (kind: EntityKind) => { readonly start: number; readonly count: number }
  /** A random value of a kind: what someone would guess who knows nothing. */
  readonly guess: (prng: Prng.Prng, kind: ValueKind) => string
}

/** Entities kept at hand, in order to make those of a small world once. */
const kept = 8192

const capitalised = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1)

const at = <A>(values: ReadonlyArray<A>, index: number): A => {
  const value = values[index]
  if (value === undefined) throw new RangeError(`index ${index} of ${values.length}`)
  return value
}

/**
 * Names of `count` things: parts of {@link nameParts}, then one of `lastWords` where there are any, in as few words as
 * give every thing its own. Each place in a name has parts of its own, so that no name is another one in another order:
 * search engines that know no order find everything by its name.
 */
const naming = (prng: Prng.Prng, count: number, lastWords: ReadonlyArray<string>) => {
  let places = lastWords.length === 0 ? 2 : 1
  while (Math.floor(nameParts.length / places) ** places * Math.max(1, lastWords.length) < count) places++
  const perPlace = Math.floor(nameParts.length / places)
  const words = Array.from(
    { length: places },
    (_, place) => Array.from({ length: perPlace }, (_, number) => at(nameParts, number * places + place))
  )
  if (lastWords.length > 0) words.push([...lastWords])
  const written = words.map((choices) => choices.map(capitalised))
  const numbers = words.map((choices) => new Map(choices.map((word, number) => [word, number])))
  const permutation = Permutation.make(prng, words.reduce((product, choices) => product * choices.length, 1))
  const name = (index: number): string => {
    let code = permutation.at(index)
    let text = ""
    for (const choices of written) {
      text += `${text === "" ? "" : " "}${at(choices, code % choices.length)}`
      code = Math.floor(code / choices.length)
    }
    return text
  }
  const find = (name: ReadonlyArray<string>): number | undefined => {
    if (name.length !== words.length) return undefined
    let code = 0
    for (let place = name.length - 1; place >= 0; place--) {
      const number = at(numbers, place).get(at(name, place))
      if (number === undefined) return undefined
      code = code * at(words, place).length + number
    }
    const index = permutation.indexOf(code)
    return index < count ? index : undefined
  }
  return { name, find }
}

/**
 * The world of a seed. Worlds of different seeds share nothing but their words.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: { readonly seed: string; readonly size?: Size | undefined }): World => {
  const { seed } = options
  const size = options.size ?? defaultSize
  const prng = Prng.make(`${seed}/world`)
  const people = naming(prng, size.people, [])
  const companies = naming(prng, size.companies, companyWords)
  const cities = naming(prng, size.cities, cityWords)
  const countries = naming(prng, size.countries, countryWords)
  const couples = Permutation.make(prng, size.people)
  const firstCity = size.people + size.companies
  const entities = firstCity + size.cities
  const ranges = {
    person: { start: 0, count: size.people },
    company: { start: size.people, count: size.companies },
    city: { start: firstCity, count: size.cities }
  }
  const kindOf = (index: number): EntityKind => index < size.people ? "person" : index < firstCity ? "company" : "city"
  const makeName = (index: number): string =>
    index < size.people
      ? people.name(index)
      : index < firstCity
      ? companies.name(index - size.people)
      : cities.name(index - firstCity)

  const names: Array<string | undefined> = []
  const nameOf = (index: number): string => {
    // a small world's names are all asked for again and again
    if (entities > kept) return makeName(index)
    return names[index] ??= makeName(index)
  }

  const find = (name: string): number | undefined => {
    const words = name.toLowerCase().split(/\s+/).filter((word) => word !== "")
    const person = people.find(words)
    if (person !== undefined) return person
    const company = companies.find(words)
    if (company !== undefined) return company + size.people
    const city = cities.find(words)
    return city === undefined ? undefined : city + firstCity
  }

  const draw = (prng: Prng.Prng, kind: ValueKind): Omit<Fact, "relation"> => {
    switch (kind) {
      case "country":
        return { value: countries.name(prng.below(size.countries)), entity: undefined }
      case "job":
        return { value: at(jobs, prng.below(jobs.length)), entity: undefined }
      case "product":
        return { value: at(products, prng.below(products.length)), entity: undefined }
      default: {
        const entity = ranges[kind].start + prng.below(ranges[kind].count)
        return { value: nameOf(entity), entity }
      }
    }
  }

  /** Marriage goes both ways; everything else is drawn. */
  const object = (prng: Prng.Prng, relation: Relation, subject: number): Omit<Fact, "relation"> => {
    if (relation.object !== "person" || relation.subject !== "person") return draw(prng, relation.object)
    const entity = couples.indexOf(couples.at(subject) ^ 1)
    return { value: nameOf(entity), entity }
  }

  const build = (index: number): Entity => {
    const prng = Prng.make(`${seed}/entity/${index}`)
    const kind = kindOf(index)
    const name = nameOf(index)
    const facts = relationsOf[kind].map((relation) => {
      const { entity, value } = object(prng, relation, index)
      return { relation, value, entity }
    })
    const text = Prng.shuffle(prng, facts)
      .map(({ relation, value }, position) => {
        const sentence = at(relation.sentences, prng.below(relation.sentences.length))
        return fill(position === 0 ? sentence.lead : sentence.follow, { s: name, o: value })
      })
      .join(" ")
    return { index, kind, name, facts, text }
  }

  const cache = new Map<number, Entity>()
  const entity = (index: number): Entity => {
    const known = cache.get(index)
    if (known !== undefined) return known
    if (!Number.isInteger(index) || index < 0 || index >= entities) {
      throw new RangeError(`entity ${index} of a world of ${entities}`)
    }
    const made = build(index)
    if (cache.size >= kept) cache.clear()
    cache.set(index, made)
    return made
  }

  return {
    seed,
    size,
    entities,
    entity,
    nameOf,
    find,
    range: (kind) => ranges[kind],
    guess: (prng, kind) => draw(prng, kind).value
  }
}

/**
 * The passage of an entity, its title in quotation marks as in the reference's corpora. Its id is the entity's number.
 *
 * @category conversions
 * @since 0.1.0
 */
export const document = (world: World, index: number): Document => {
  const { name, text } = world.entity(index)
  return { id: String(index), title: `"${name}"`, text }
}

/**
 * All passages in the order of their numbers, made as they are asked for.
 *
 * @category conversions
 * @since 0.1.0
 */
export const documents = (world: World): Iterable<Document> => ({
  *[Symbol.iterator]() {
    for (let index = 0; index < world.entities; index++) yield document(world, index)
  }
})
