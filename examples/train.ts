/**
 * Training inside another Effect program: a search engine of one's own, no files, and a Stream of steps to do with what
 * the application likes. `node train.mts [STEPS]`.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, Layer, Result, Stream } from "effect"
import {
  Assets,
  CheckpointsMemory,
  FairScheduler,
  HeldOut,
  PolicyEngine,
  Pretrained,
  QuestionsMemory,
  Retriever,
  RetrieverCache,
  RewardExactMatch,
  RunConfig,
  RunLogMemory,
  Train,
  World
} from "effect-search-r1"

const config = Result.getOrThrow(RunConfig.resolve({
  algorithm: "grpo",
  steps: Number(process.argv[2] ?? 10),
  rollout: {
    prompts: 16,
    groupSize: 8,
    topK: 1,
    maxPromptTokens: 64,
    maxResponseTokens: 24,
    maxObservationTokens: 60,
    maxContextTokens: 384
  },
  update: { miniBatches: 4 },
  kl: { placement: "none" },
  optimizer: { learningRate: 2e-4, schedule: { kind: "constant", warmupRatio: 0 } }
}))

const { questions, world } = HeldOut.exam({ seed: "example", count: 500 })

// any function of a query can be a search engine: here the passage whose title is the query
const key = (text: string) => text.replaceAll("\"", "").trim().toLowerCase()
const passages = new Map([...World.documents(world)].map((document) => [key(document.title), document]))
const Search = RetrieverCache.layer().pipe(
  Layer.provide(Layer.succeed(
    Retriever,
    Retriever.fromSearch("titles", (query) => {
      const found = passages.get(key(query))
      return Effect.succeed(found === undefined ? [] : [{ ...found, score: 1 }])
    })
  ))
)

// policy and optimizer over one set of parameters, in a thread of their own
const Engine = Layer.merge(
  PolicyEngine.layer({ model: Assets.shippedModel, device: "wasm" }),
  Pretrained.layerTokenizer(Assets.shippedModel)
)

const program = Train.run(config).pipe(
  Stream.runForEach(({ metrics, seconds, step, steps }) =>
    Console.log(
      `step ${step} of ${steps}: reward ${metrics["reward/total/mean"]?.toFixed(2)}, searches ${
        metrics["env/number_of_valid_search"]?.toFixed(1)
      }, ${seconds.total.toFixed(1)} s`
    )
  )
)

const Services = Layer.mergeAll(
  Engine,
  Search,
  RewardExactMatch.layer(),
  QuestionsMemory.layer(questions, { seed: config.seed }),
  RunLogMemory.layer(),
  CheckpointsMemory.layer(),
  FairScheduler.layer
)

await program.pipe(Effect.provide(Services), Effect.provide(NodeServices.layer), Effect.runPromise)
