/**
 * Passages and questions with the statistics of English text, of any number: words follow Zipf's law over a vocabulary
 * that grows with the corpus (Heaps' law), a passage has 30 to 130 of them. The same number gives the same text.
 */
import { Stream } from "effect"
import type { Document } from "../../src/domain/Document.ts"
import type { Query } from "../../src/programs/RetrievalBenchmark.ts"

const generator = (seed: number) => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

const syllables = [
  "ba",
  "cor",
  "den",
  "fi",
  "gul",
  "ha",
  "jor",
  "ke",
  "lim",
  "mo",
  "nar",
  "pe",
  "qui",
  "ro",
  "sta",
  "tu",
  "vin",
  "wes"
]

/** The word of a rank: frequent ones are short, all are different. */
const word = (rank: number): string => {
  let text = ""
  for (let rest = rank + 1; rest > 0; rest = Math.floor(rest / syllables.length)) {
    text += syllables[rest % syllables.length]
  }
  return text
}

/** A rank by Zipf's law with exponent 1 below `size`. */
const zipf = (random: () => number, size: number): number => Math.floor(Math.exp(random() * Math.log(size + 1))) - 1

const vocabulary = (passages: number): number => Math.floor(40 * (passages * 80) ** 0.55)

const passage = (row: number, size: number): Document => {
  const random = generator(row + 1)
  const length = 30 + Math.floor(random() * 100)
  const words = Array.from({ length }, () => word(zipf(random, size)))
  return {
    id: String(row),
    title: `"${word(Math.floor(random() * size))} ${word(zipf(random, size))}"`,
    text: words.join(" ")
  }
}

const batchSize = 1024

export const generatedPassages = (count: number): Stream.Stream<ReadonlyArray<Document>> => {
  const size = vocabulary(count)
  return Stream.range(0, Math.ceil(count / batchSize) - 1).pipe(
    Stream.map((batch) =>
      Array.from(
        { length: Math.min(batchSize, count - batch * batchSize) },
        (_, index) => passage(batch * batchSize + index, size)
      )
    )
  )
}

/** Questions of 6 to 14 words. */
export const generatedQuestions = (count: number): ReadonlyArray<Query> =>
  Array.from({ length: count }, (_, index) => {
    const random = generator(-index - 1)
    const words = Array.from({ length: 6 + Math.floor(random() * 9) }, () => word(zipf(random, 200_000)))
    return { question: `${words.join(" ")}?`, goldIds: [] }
  })
