/**
 * `search-r1 evaluate`: what a run has learned, measured on a world that it has never seen.
 *
 * @since 0.1.0
 */
import { Console, Effect, Layer, Option, Schema } from "effect"
import { Command } from "effect/cli"
import { plural } from "../domain/Plural.ts"
import * as World from "../domain/world/World.ts"
import * as Flag from "./flag.ts"
import { evaluateBoth, heldOutExam, lunrOf, Score, scoreRow, scoreTable } from "./heldOutExam.ts"
import { progress } from "./progress.ts"
import * as Stopping from "./stopping.ts"
import * as TextWidth from "./textWidth.ts"
import * as TrainedPolicy from "./trainedPolicy.ts"

const flags = {
  ...TrainedPolicy.runFlags,
  seed: Flag.Int("seed").pipe(
    Flag.withSchema(Schema.Natural),
    Flag.withDescription("Every seed is another held-out world (default the run's own)"),
    Flag.optional
  ),
  questions: Flag.Int("questions").pipe(
    Flag.withSchema(Schema.Int.check(Schema.isGreaterThan(0))),
    Flag.withDescription("Questions about the world"),
    Flag.withDefault(512)
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("Print one JSON object: {\"em\",\"em1\",\"em2\",\"em3\",\"sampled\",\"searches\"}"),
    Flag.withDefault(false)
  )
}

const encodeScore = Schema.encodeEffect(Schema.fromJsonString(Score))

/**
 * @category commands
 * @since 0.1.0
 */
export const evaluate = Command.make("evaluate", flags, (input) =>
  Effect.gen(function*() {
    const run = yield* TrainedPolicy.open(input)
    const { questions, world } = heldOutExam(Option.getOrElse(input.seed, () => run.config.seed), input.questions)
    yield* Effect.gen(function*() {
      const step = yield* TrainedPolicy.restore(run, input.checkpoint)
      const { tick } = yield* progress({
        unit: "question asked",
        units: "questions asked",
        total: 2 * questions.length
      })
      const score = yield* evaluateBoth(run.config, questions, tick)
      yield* input.json
        ? Effect.flatMap(Effect.orDie(encodeScore(score)), Console.log)
        : Console.log(
          scoreTable(questions.length, [scoreRow(`after ${plural(step, "step")}`, score)], yield* TextWidth.available)
        )
    }).pipe(
      Effect.provide(Layer.merge(TrainedPolicy.layer(run), lunrOf(World.documents(world)))),
      Stopping.waitsFor(Stopping.deviceCall)
    )
  }).pipe(Effect.scoped)).pipe(
    Command.withDescription(
      "Ask the policy of a run questions about a world that it has never seen, greedily and at temperature 1, with lunr over the world's encyclopedia."
    ),
    Command.withShortDescription("Measure a run on a held-out world"),
    Command.withExamples([
      {
        command: "search-r1 evaluate --run runs/20260101-120000-start",
        description: "The world that start compares on"
      },
      {
        command: "search-r1 evaluate --run runs/20260101-120000-start --seed 42 --json",
        description: "Another world, as JSON"
      },
      {
        command: "search-r1 evaluate --run runs/20260101-120000-grpo --checkpoint best --questions 128",
        description: "The best checkpoint, by fewer questions"
      }
    ])
  )
