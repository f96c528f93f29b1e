/**
 * `search-r1 world`: writes a fictional encyclopedia to search and questions about it.
 *
 * @since 0.1.0
 */
import { Clock, Console, Effect, Ref, Result, Schema } from "effect"
import { Argument, CliError, Command } from "effect/cli"
import { plural } from "../domain/Plural.ts"
import * as World from "../domain/world/World.ts"
import * as WorldQuestion from "../domain/world/WorldQuestion.ts"
import * as WorldFiles from "../layers/world/WorldFiles.ts"
import * as Flag from "./flag.ts"
import { interval } from "./progress.ts"
import { parseHops, share } from "./questionMix.ts"
import { userError } from "./userError.ts"

const number = new Intl.NumberFormat("en-US").format

/** Tells on standard error how far a large world is. */
const makeProgress = Effect.fnUntraced(function*(total: number) {
  const pause = yield* interval
  const next = yield* Ref.make((yield* Clock.currentTimeMillis) + pause)
  return (passages: number): Effect.Effect<void> =>
    Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      if (now < (yield* Ref.get(next))) return
      yield* Ref.set(next, now + pause)
      yield* Console.error(
        `${number(passages)} of ${plural(total, "passage")} written (${Math.floor(100 * passages / total)} %)`
      )
    })
})

const hint = (error: { readonly _tag: string }): string | undefined =>
  error._tag === "WorldExists"
    ? "With --force they are replaced."
    : error._tag === "QuestionsExhausted"
    ? "Ask for fewer with --questions and --dev, or make a larger world with --size."
    : undefined

/**
 * @category commands
 * @since 0.1.0
 */
export const world = Command.make("world", {
  directory: Argument.String("directory").pipe(
    Argument.withDescription("Where corpus.jsonl, train.jsonl, dev.jsonl and world.json are written")
  ),
  seed: Flag.String("seed").pipe(
    Flag.withDescription("Any text; every seed is another world"),
    Flag.withDefault("0")
  ),
  size: Flag.Int("size").pipe(
    Flag.withMetavar("PASSAGES"),
    Flag.withDescription(
      "Number of passages, 20 to 10,000,000: three people in four, the rest companies and cities"
    ),
    Flag.withDefault(400)
  ),
  questions: Flag.Int("questions").pipe(
    Flag.withSchema(Schema.Natural),
    Flag.withMetavar("N"),
    Flag.withDescription("Questions to train on"),
    Flag.withDefault(1000)
  ),
  dev: Flag.Int("dev").pipe(
    Flag.withSchema(Schema.Natural),
    Flag.withMetavar("N"),
    Flag.withDescription("Questions to evaluate on, none of which is in the former"),
    Flag.withDefault(500)
  ),
  hops: Flag.String("hops").pipe(
    Flag.withMetavar("WEIGHTS"),
    Flag.withDescription("How often questions of one, two and three hops are asked"),
    Flag.withDefault("40,50,10")
  ),
  comparison: share("comparison", "Share of questions that ask which of two entities something is true of"),
  yesno: share("yesno", "Share of questions with yes or no for an answer"),
  force: Flag.Boolean("force").pipe(
    Flag.withAlias("f"),
    Flag.withDescription("Replace files that are there already"),
    Flag.withDefault(false)
  )
}, (input) =>
  Effect.gen(function*() {
    const size = World.sizeOf(input.size)
    if (Result.isFailure(size)) return yield* userError(size.failure, "Choose another --size.")
    const hops = parseHops(input.hops)
    if (hops === undefined) {
      return yield* userError(
        `--hops ${input.hops}: expected the weights of one, two and three hops`,
        "For example: --hops 40,50,10, or --hops 0,1 for questions of two hops only"
      )
    }
    const mix = { hops, comparison: input.comparison, yesno: input.yesno }
    const problem = WorldQuestion.mixProblem(mix)
    if (problem !== undefined) return yield* userError(problem, "See --hops, --comparison and --yesno.")
    const made = World.make({ seed: input.seed, size: size.success })
    const files = yield* WorldFiles.write({
      directory: input.directory,
      world: made,
      mix,
      questions: { train: input.questions, dev: input.dev },
      force: input.force,
      onProgress: yield* makeProgress(made.entities)
    })
    const { cities, companies, people } = made.size
    yield* Console.log(
      [
        `${files.corpus}: ${number(made.entities)} passages about ${number(people)} people, ${
          number(companies)
        } companies and ${number(cities)} cities`,
        `${files.train}: ${plural(input.questions, "question")} to train on`,
        `${files.dev}: ${plural(input.dev, "question")} to evaluate on`
      ].join("\n")
    )
  }).pipe(
    Effect.catchIf((error) => !CliError.isCliError(error), (error) => Effect.fail(userError(error, hint(error))))
  )).pipe(
    Command.withDescription(
      "Write a fictional encyclopedia to search and questions about it. Every seed is another world, so that a model cannot know the answers: it must search. The corpus has the form of Search-R1's, the questions that of FlashRAG's; metadata names hops and the passages that hold the answer."
    ),
    Command.withShortDescription("Write a world to learn in"),
    Command.withExamples([
      { command: "search-r1 world worlds/1 --seed 1", description: "400 passages, 1,000 and 500 questions" },
      {
        command: "search-r1 world worlds/large --size 1000000 --questions 50000",
        description: "A million passages, in constant memory"
      },
      {
        command: "search-r1 world worlds/hard --hops 0,1,1 --comparison 0.2 --yesno 0.1",
        description: "Questions of two and three hops, comparisons, and a few with yes or no for an answer"
      }
    ])
  )
