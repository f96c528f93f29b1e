/**
 * Rollouts inside another Effect program: questions in, rewards out, against a retrieval server.
 *
 * Run it beside `npx search-r1 serve --corpus demo/corpus.jsonl`; without a server the rollouts fail, each
 * with the reason, and none of them becomes a reward.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Effect, Layer, Stream } from "effect"
import {
  PolicyScripted,
  Question,
  RetrieverRemote,
  RetrieverResilient,
  RewardExactMatch,
  Rollout,
  ScoredRollouts,
  TokenizerBytes
} from "effect-search-r1"

const questions = Stream.make(
  new Question({ id: "1", dataSource: "demo", question: "Who founded Karsholm", goldenAnswers: ["Ilsa Thorne"] })
)

const program = Rollout.outcomes(Rollout.instances(questions), {
  groupSize: 4,
  // the tokens of TokenizerBytes are bytes
  maxObservationTokens: 4000,
  maxContextTokens: 16_384
}).pipe(
  ScoredRollouts.score,
  Stream.runForEach((outcome) =>
    outcome._tag === "Scored"
      ? Effect.log(`reward ${outcome.scored.reward}`)
      : Effect.log(`failed: ${outcome.error.message}`)
  )
)

// timeout, retry, batching and caching are layers around any retriever
const Search = RetrieverResilient.layer().pipe(
  Layer.provide(RetrieverRemote.layer({ url: "http://127.0.0.1:8000/retrieve" })),
  Layer.provide(NodeHttpClient.layerUndici)
)

const Services = Layer.mergeAll(
  PolicyScripted.layer(["<search> founder of Karsholm </search>", "<answer> Ilsa Thorne </answer>"]),
  RewardExactMatch.layer(),
  Search
).pipe(Layer.provideMerge(TokenizerBytes.layer))

await Effect.runPromise(Effect.provide(program, Services))
