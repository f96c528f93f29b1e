/** A world in which the tabular policy learns to search, and what a training program needs there. */
import { Effect, Layer, Result, Stream } from "effect"
import { Question } from "../../src/domain/Question.ts"
import * as RunConfig from "../../src/domain/RunConfig.ts"
import * as CheckpointsMemory from "../../src/layers/checkpoints/CheckpointsMemory.ts"
import * as QuestionsMemory from "../../src/layers/questions/QuestionsMemory.ts"
import * as RewardExactMatch from "../../src/layers/reward/RewardExactMatch.ts"
import * as RunLogMemory from "../../src/layers/runlog/RunLogMemory.ts"
import { Retriever } from "../../src/services/Retriever.ts"
import { RunLog } from "../../src/services/RunLog.ts"
import * as Tabular from "./tabular.ts"

export const questions = Array.from({ length: 24 }, (_, index) =>
  new Question({
    id: `q${index}`,
    dataSource: index % 2 === 0 ? "even" : "odd",
    question: `what is the value of key ${index}`,
    goldenAnswers: ["v0"],
    hops: 1
  }))

/** The policy's query is always the same, and so is the answer to it. */
export const found = Layer.succeed(
  Retriever,
  Retriever.fromSearch("world", () => Effect.succeed([{ id: "0", title: "key", text: "it holds v0", score: 1 }]))
)

export const config = (part: Record<string, unknown> = {}): RunConfig.RunConfig =>
  Result.getOrThrow(RunConfig.resolve({
    algorithm: "grpo",
    steps: 12,
    seed: 3,
    rollout: {
      prompts: 4,
      groupSize: 8,
      maxTurns: 2,
      maxContextTokens: 20_000,
      maxPromptTokens: 4000,
      maxObservationTokens: 2000
    },
    update: { miniBatchSize: 8 },
    optimizer: { learningRate: 60, schedule: { kind: "constant", warmupRatio: 0 } },
    evaluation: { every: 4 },
    checkpoints: { every: 1 },
    ...part
  } as never))

export interface World {
  readonly retriever?: Layer.Layer<Retriever>
  readonly tabular?: Tabular.TabularOptions
}

/** All but the log and the checkpoints: what dies with its process. */
export const learner = ({ retriever = found, tabular }: World = {}) =>
  Layer.mergeAll(
    Tabular.layer(tabular),
    retriever,
    RewardExactMatch.layer(),
    QuestionsMemory.layer(questions, { seed: 3 })
  )

/** What outlives it. */
export const store = () => Layer.mergeAll(RunLogMemory.layer(), CheckpointsMemory.layer({ keepLast: 3 }))

export const services = (world?: World) => Layer.merge(learner(world), store())

export const evaluation = Stream.fromIterable(questions)

export const metrics = Effect.flatMap(RunLog, (log) => Stream.runCollect(log.readMetrics))
