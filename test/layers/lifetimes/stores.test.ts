/** Layers that keep things in files, and those that only compute. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Deferred, Effect, FileSystem, type Layer, Stream } from "effect"
import * as CheckpointsFileSystem from "../../../src/layers/checkpoints/CheckpointsFileSystem.ts"
import * as CheckpointsMemory from "../../../src/layers/checkpoints/CheckpointsMemory.ts"
import * as QuestionsFile from "../../../src/layers/questions/QuestionsFile.ts"
import * as QuestionsMemory from "../../../src/layers/questions/QuestionsMemory.ts"
import * as RewardComposite from "../../../src/layers/reward/RewardComposite.ts"
import * as RewardExactMatch from "../../../src/layers/reward/RewardExactMatch.ts"
import * as RewardF1 from "../../../src/layers/reward/RewardF1.ts"
import * as RewardFormat from "../../../src/layers/reward/RewardFormat.ts"
import * as RewardSubEm from "../../../src/layers/reward/RewardSubEm.ts"
import * as RunLogFileSystem from "../../../src/layers/runlog/RunLogFileSystem.ts"
import * as RunLogMemory from "../../../src/layers/runlog/RunLogMemory.ts"
import { Checkpoints } from "../../../src/services/Checkpoints.ts"
import { Questions } from "../../../src/services/Questions.ts"
import { Reward } from "../../../src/services/Reward.ts"
import { RunLog } from "../../../src/services/RunLog.ts"
import { checkpointAt } from "../../contract/checkpoints.ts"
import { type Lifetime, lifetimes } from "../../contract/lifetimes.ts"
import { questionsOf } from "../../contract/questions.ts"
import { randomScored } from "../../support/samples.ts"

const node = Effect.provide(NodeServices.layer)

const checkpoints = (
  name: string,
  layer: (directory: string) => Layer.Layer<Checkpoints, never, NodeServices.NodeServices>,
  leaves: ReadonlyArray<string>
): Lifetime => {
  const within = (
    directory: string,
    use: (checkpoints: Checkpoints["Service"]) => Effect.Effect<unknown, unknown>
  ) => Effect.flatMap(Checkpoints, use).pipe(Effect.provide(layer(directory)), node)
  return {
    name,
    leaves,
    // the first checkpoint is dropped by the third; an interruption may come before
    mayLeave: leaves.map((step) => step.replace("3", "1")),
    succeeds: ({ directory }) =>
      within(directory, ({ list, load, save }) =>
        Effect.gen(function*() {
          for (const step of [1, 2, 3]) yield* save(checkpointAt(step))
          for (const info of yield* list) yield* load(info)
        })),
    fails: ({ directory }) => within(directory, ({ save }) => save(checkpointAt(1, Number.NaN)))
  }
}

const runLog = (
  name: string,
  layer: (directory: string) => Layer.Layer<RunLog, unknown, NodeServices.NodeServices>,
  leaves: ReadonlyArray<string>
): Lifetime => {
  const within = (directory: string, use: (log: RunLog["Service"]) => Effect.Effect<unknown, unknown>) =>
    Effect.flatMap(RunLog, use).pipe(Effect.provide(layer(directory)), node)
  const write = (log: RunLog["Service"], step: number) =>
    Effect.all([
      log.metrics({ step, metrics: { step } }),
      log.trajectory({ step, scored: randomScored(`${step}`, "p", 0) }),
      log.event("e", step)
    ], { concurrency: "unbounded" })
  return {
    name,
    leaves,
    succeeds: ({ directory }) =>
      within(directory, (log) =>
        Effect.gen(function*() {
          for (const step of [1, 2, 3]) yield* write(log, step)
          yield* Stream.runDrain(Stream.take(log.readMetrics, 1))
          yield* log.rewind(1)
        })),
    fails: ({ directory }) => within(directory, (log) => log.metrics({ step: 1, metrics: { x: Number.NaN } })),
    hangs: ({ begun, directory }) =>
      within(directory, (log) =>
        Effect.gen(function*() {
          yield* write(log, 1)
          yield* Stream.runForEach(log.readMetrics, () =>
            Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
        }))
  }
}

lifetimes("Checkpoints and RunLog", [
  checkpoints("CheckpointsFileSystem", (directory) => CheckpointsFileSystem.layer(directory, { keepLast: 2 }), [
    "step-00000002",
    "step-00000003"
  ]),
  checkpoints("CheckpointsMemory", () => CheckpointsMemory.layer({ keepLast: 2 }), []),
  runLog("RunLogFileSystem", (directory) => RunLogFileSystem.layer(directory), [
    "events.jsonl",
    "metrics.jsonl",
    "trajectories.jsonl"
  ]),
  runLog("RunLogMemory", RunLogMemory.layer, [])
])

lifetimes("Questions", [
  {
    name: "QuestionsFile",
    leaves: ["q.jsonl"],
    succeeds: ({ directory }) =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const lines = questionsOf(2000).map(({ goldenAnswers, id, question }) =>
          JSON.stringify({ id, question, golden_answers: goldenAnswers })
        )
        yield* fs.writeFileString(`${directory}/q.jsonl`, lines.join("\n"))
        yield* Questions.use((questions) => Stream.runDrain(Stream.take(questions.from({ epoch: 0, offset: 0 }), 3)))
          .pipe(
            Effect.provide(QuestionsFile.layer({ paths: [`${directory}/q.jsonl`] }))
          )
      }).pipe(node),
    fails: ({ directory }) =>
      Questions.use((questions) => Stream.runDrain(questions.all)).pipe(
        Effect.provide(QuestionsFile.layer({ paths: [`${directory}/none`] })),
        node
      )
  },
  {
    name: "QuestionsMemory",
    succeeds: () =>
      Questions.use((questions) => Stream.runDrain(Stream.take(questions.from({ epoch: 0, offset: 0 }), 100))).pipe(
        Effect.provide(QuestionsMemory.layer(questionsOf(7), { seed: "s" }))
      )
  }
])

lifetimes(
  "Reward",
  ([
    ["RewardExactMatch", RewardExactMatch.layer()],
    ["RewardF1", RewardF1.layer()],
    ["RewardSubEm", RewardSubEm.layer()],
    ["RewardFormat", RewardFormat.layer()],
    ["RewardComposite", RewardComposite.layer({ em: { weight: 1, reward: RewardExactMatch.layer() } })]
  ] as const).map(([name, layer]) => ({
    name,
    interruptions: [0, 1],
    succeeds: () =>
      Reward.use((reward) => reward.score(randomScored("a", "p", 0).trajectory)).pipe(Effect.provide(layer))
  }))
)
