/**
 * Search within a world, made for names: what training texts are written with, and tests that need thousands of
 * searches. Training and evaluation search through a Retriever.
 *
 * @since 0.1.0
 */
import type { Vocabulary } from "./Vocabulary.ts"
import { document, type World } from "./World.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface WorldSearch {
  /**
   * Numbers of the passages that share words with `query`, best first, `topK` at most. A word counts `log(1 + n / df)`
   * and twice that in a title; among equals the first in the encyclopedia wins.
   */
  readonly search: (query: string, topK: number) => ReadonlyArray<number>
}

/**
 * Searches all passages of a world, which are indexed when the first search is made.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (world: World, vocabulary: Vocabulary): WorldSearch => {
  let ready: WorldSearch["search"] | undefined
  return {
    search: (query, topK) => {
      ready ??= indexed(world, vocabulary)
      return ready(query, topK)
    }
  }
}

const indexed = (world: World, vocabulary: Vocabulary): WorldSearch["search"] => {
  const postings = vocabulary.tokens.map((): Array<number> => [])
  const titles: Array<Int32Array> = []
  // the passage that a word was last found in: it counts once in each
  const last = new Int32Array(vocabulary.tokens.length).fill(-1)
  const add = (index: number, ids: Int32Array): void => {
    for (const id of ids) {
      if (last[id] === index) continue
      last[id] = index
      postings[id]?.push(index)
    }
  }
  for (let index = 0; index < world.entities; index++) {
    const { text, title } = document(world, index)
    const titleIds = vocabulary.encode(title)
    titles.push(titleIds)
    add(index, titleIds)
    add(index, vocabulary.encode(text))
  }
  return (query, topK) => {
    const scores = new Map<number, number>()
    for (const id of new Set(vocabulary.encode(query))) {
      const found = postings[id] ?? []
      const weight = Math.log(1 + world.entities / found.length)
      for (const index of found) {
        scores.set(index, (scores.get(index) ?? 0) + weight * (titles[index]?.includes(id) === true ? 2 : 1))
      }
    }
    return [...scores]
      .sort(([a, scoreA], [b, scoreB]) => scoreB - scoreA || a - b)
      .slice(0, topK)
      .map(([index]) => index)
  }
}
