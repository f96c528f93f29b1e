/**
 * What the fictional encyclopedia says about its entities, and in which words.
 *
 * @since 0.1.0
 */

/**
 * The kinds of entities that have a passage of their own.
 *
 * @category models
 * @since 0.1.0
 */
export type EntityKind = "person" | "company" | "city"

/**
 * The kinds of things that a fact can name.
 *
 * @category models
 * @since 0.1.0
 */
export type ValueKind = EntityKind | "country" | "job" | "product"

/**
 * A sentence about a subject `{s}` and an object `{o}`: as the first of a passage, where it names the subject, and
 * behind others.
 *
 * @category models
 * @since 0.1.0
 */
export interface Sentence {
  readonly lead: string
  readonly follow: string
}

/**
 * A relation of the encyclopedia.
 *
 * @category models
 * @since 0.1.0
 */
export interface Relation {
  readonly subject: EntityKind
  readonly object: ValueKind
  /** The noun of `the NOUN of {s}`, where the object is an entity that a question can go on from. */
  readonly noun?: string
  /** Asks for the object. */
  readonly question: string
  readonly sentences: ReadonlyArray<Sentence>
  /** Asks which of `{a}` and `{b}` has the object `{o}`. */
  readonly which: string
  /** Asks whether `{a}` and `{b}` have the same object; only where objects are few, so that many subjects share one. */
  readonly same?: string
}

/**
 * All relations. The words are those of `Words.ts`, and no others.
 *
 * @category constants
 * @since 0.1.0
 */
export const relations: ReadonlyArray<Relation> = [
  {
    subject: "person",
    object: "city",
    noun: "birthplace",
    question: "Where was {s} born?",
    sentences: [
      { lead: "{s} was born in {o}.", follow: "They were born in {o}." },
      { lead: "{s} is a native of {o}.", follow: "A native of {o}." },
      { lead: "{s} grew up in {o}.", follow: "They grew up in {o}." }
    ],
    which: "Who was born in {o}: {a} or {b}?"
  },
  {
    subject: "person",
    object: "company",
    noun: "employer",
    question: "Who does {s} work for?",
    sentences: [
      { lead: "{s} works for {o}.", follow: "They work for {o}." },
      { lead: "{s} is employed by {o}.", follow: "Employed by {o}." }
    ],
    which: "Who is employed by {o}: {a} or {b}?"
  },
  {
    subject: "person",
    object: "person",
    noun: "spouse",
    question: "Who is {s} married to?",
    sentences: [
      { lead: "{s} is married to {o}.", follow: "Married to {o}." },
      { lead: "{o} is the partner of {s}.", follow: "{o} is the partner." }
    ],
    which: "Who is married to {o}: {a} or {b}?"
  },
  {
    subject: "person",
    object: "job",
    question: "What does {s} do?",
    sentences: [
      { lead: "{s} is a {o} by profession.", follow: "A {o} by profession." },
      { lead: "{s} earns a living as a {o}.", follow: "Earns a living as a {o}." }
    ],
    which: "Who is a {o} by profession: {a} or {b}?",
    same: "Do {a} and {b} have the same profession?"
  },
  {
    subject: "company",
    object: "person",
    noun: "founder",
    question: "Who founded {s}?",
    sentences: [
      { lead: "{s} was founded by {o}.", follow: "Founded by {o}." },
      { lead: "{o} started {s}.", follow: "{o} started it." }
    ],
    which: "Which was founded by {o}: {a} or {b}?"
  },
  {
    subject: "company",
    object: "city",
    noun: "home",
    question: "Where is {s} based?",
    sentences: [
      { lead: "{s} is based in {o}.", follow: "Based in {o}." },
      { lead: "The offices of {s} are in {o}.", follow: "Its offices are in {o}." }
    ],
    which: "Which is based in {o}: {a} or {b}?"
  },
  {
    subject: "company",
    object: "product",
    question: "What does {s} produce?",
    sentences: [
      { lead: "{s} makes {o}.", follow: "It makes {o}." },
      { lead: "{s} produces {o}.", follow: "Produces {o}." }
    ],
    which: "Which produces {o}: {a} or {b}?",
    same: "Do {a} and {b} make the same thing?"
  },
  {
    subject: "city",
    object: "country",
    question: "Which country is {s} in?",
    sentences: [
      { lead: "{s} lies in {o}.", follow: "Lies in {o}." },
      { lead: "{s} belongs to {o}.", follow: "Belongs to {o}." }
    ],
    which: "Which lies in {o}: {a} or {b}?",
    same: "Are {a} and {b} in the same country?"
  },
  {
    subject: "city",
    object: "person",
    noun: "mayor",
    question: "Who governs {s}?",
    sentences: [
      { lead: "{o} governs {s}.", follow: "{o} governs it." },
      { lead: "The mayor of {s} is {o}.", follow: "Its mayor is {o}." }
    ],
    which: "Which does {o} govern: {a} or {b}?"
  },
  {
    subject: "city",
    object: "product",
    question: "What is {s} known for?",
    sentences: [
      { lead: "{s} is known for {o}.", follow: "Known for {o}." },
      { lead: "{s} is famous for {o}.", follow: "Famous for {o}." }
    ],
    which: "Which is known for {o}: {a} or {b}?",
    same: "Are {a} and {b} known for the same thing?"
  }
]

/**
 * The relations of a kind of subject, in the order of {@link relations}.
 *
 * @category getters
 * @since 0.1.0
 */
export const relationsOf: Readonly<Record<EntityKind, ReadonlyArray<Relation>>> = {
  person: relations.filter(({ subject }) => subject === "person"),
  company: relations.filter(({ subject }) => subject === "company"),
  city: relations.filter(({ subject }) => subject === "city")
}

type Blank = "s" | "o" | "a" | "b"

const isBlank = (name: string): name is Blank => name === "s" || name === "o" || name === "a" || name === "b"

interface Piece {
  readonly before: string
  readonly blank: Blank | undefined
}

/** A template as what stands before each blank, and behind the last; its first letter is a capital. */
const compile = (template: string): ReadonlyArray<Piece> => {
  const text = template.charAt(0).toUpperCase() + template.slice(1)
  return text.split("}").map((piece) => {
    const [before = "", blank = ""] = piece.split("{")
    return { before, blank: isBlank(blank) ? blank : undefined }
  })
}

const compiled = new Map<string, ReadonlyArray<Piece>>()

/**
 * Fills the blanks of a template. The text begins with a capital letter.
 *
 * @category formatting
 * @since 0.1.0
 */
export const fill = (template: string, values: { readonly [blank in Blank]?: string }): string => {
  let pieces = compiled.get(template)
  if (pieces === undefined) {
    pieces = compile(template)
    compiled.set(template, pieces)
  }
  let text = ""
  for (const { before, blank } of pieces) text += blank === undefined ? before : before + (values[blank] ?? "")
  return pieces[0]?.before === "" ? text.charAt(0).toUpperCase() + text.slice(1) : text
}
