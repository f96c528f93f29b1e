/**
 * Parts that tests of rollouts share: questions, prompts and retrievers of a few lines.
 */
import { Effect, Layer, Ref, Stream } from "effect"
import type { ScoredDocument } from "../../src/domain/Document.ts"
import { Question } from "../../src/domain/Question.ts"
import * as TokenizerBytes from "../../src/layers/tokenizer/TokenizerBytes.ts"
import type { PromptInstance } from "../../src/programs/Rollout.ts"
import { Retriever, type RetrieverError } from "../../src/services/Retriever.ts"

export const question = new Question({ id: "q1", dataSource: "nq", question: "x", goldenAnswers: ["A"] })

export const prompt = (promptKey: string): PromptInstance => ({ promptKey, question })

export const prompts = (count: number): Stream.Stream<PromptInstance> =>
  Stream.range(0, count - 1).pipe(Stream.map((index) => prompt(`p${index}`)))

/** The documents of spec Appendix A.6. */
export const bodies = (query: string, topK: number): ReadonlyArray<ScoredDocument> =>
  Array.from({ length: topK }, (_, index) => ({
    id: String(index),
    title: `"T${index}"`,
    text: `body ${index} of ${query}`,
    score: 1 - index / 10
  }))

/** A retriever that answers with `answer` and remembers its queries. */
export const recordingRetriever = (
  queries: Ref.Ref<ReadonlyArray<string>>,
  answer: (query: string, topK: number) => Effect.Effect<ReadonlyArray<ScoredDocument>, RetrieverError> = (
    query,
    topK
  ) => Effect.succeed(bodies(query, topK))
): Layer.Layer<Retriever> =>
  Layer.succeed(
    Retriever,
    Retriever.fromSearch(
      "recording",
      (query, { topK }) => Ref.update(queries, (all) => [...all, query]).pipe(Effect.andThen(answer(query, topK)))
    )
  )

export const retriever = (
  answer: (query: string, topK: number) => Effect.Effect<ReadonlyArray<ScoredDocument>, RetrieverError> = (
    query,
    topK
  ) => Effect.succeed(bodies(query, topK))
): Layer.Layer<Retriever> =>
  Layer.succeed(Retriever, Retriever.fromSearch("test", (query, { topK }) => answer(query, topK)))

export const Tokens = TokenizerBytes.layer
