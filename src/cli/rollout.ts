/**
 * `search-r1 rollout`: questions against a model, a scripted or a recorded policy, and a real retriever.
 *
 * @since 0.1.0
 */
import { Console, Effect, Option, Schema, Stream } from "effect"
import { Command } from "effect/cli"
import * as Metrics from "../domain/Metrics.ts"
import type { Failed, ScoredTrajectory } from "../domain/Outcome.ts"
import * as Presets from "../domain/Presets.ts"
import * as RetrieverMemory from "../layers/retriever/RetrieverMemory.ts"
import * as RewardExactMatch from "../layers/reward/RewardExactMatch.ts"
import * as RewardF1 from "../layers/reward/RewardF1.ts"
import * as RewardFormat from "../layers/reward/RewardFormat.ts"
import * as FairScheduler from "../programs/FairScheduler.ts"
import * as Rollout from "../programs/Rollout.ts"
import { RolloutLine } from "../programs/rollout/Record.ts"
import * as ScoredRollouts from "../programs/ScoredRollouts.ts"
import { deviceFlags } from "./deviceFlag.ts"
import * as Flag from "./flag.ts"
import { withLines, type WriteLines } from "./lineWriter.ts"
import * as Outputs from "./outputs.ts"
import * as PathKind from "./pathKind.ts"
import { progress } from "./progress.ts"
import { retrieverFlags, retrieverLayer, retrieverReads } from "./retrieverFlags.ts"
import { runOf, source, ways } from "./rolloutPolicy.ts"
import { questionTable, totals } from "./rolloutSummary.ts"
import * as RunFolder from "./runFolder.ts"
import * as RunRetriever from "./runRetriever.ts"
import * as Stopping from "./stopping.ts"
import { style as terminalStyle } from "./style.ts"
import * as TextWidth from "./textWidth.ts"
import * as TrainedPolicy from "./trainedPolicy.ts"
import { trajectoryView } from "./trajectoryView.ts"
import { userError } from "./userError.ts"

const optionalCount = (name: string, description: string) =>
  Flag.Int(name).pipe(
    Flag.withSchema(Schema.Int.check(Schema.isGreaterThan(0))),
    Flag.withDescription(description),
    Flag.optional
  )

const count = (name: string, value: number, description: string) =>
  Flag.Int(name).pipe(
    Flag.withSchema(Schema.Int.check(Schema.isGreaterThan(0))),
    Flag.withDescription(description),
    Flag.withDefault(value)
  )

const flags = {
  questions: Flag.String("questions").pipe(
    Flag.withAlias("q"),
    Flag.withMetavar("FILE"),
    Flag.withDescription(
      "Questions: JSON lines {\"id\",\"question\",\"golden_answers\"}, plain or .gz, or the reference's parquet"
    ),
    Flag.optional
  ),
  script: Flag.String("script").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("A scripted policy: JSON lines {\"id\",\"samples\":[[\"turn\", …], …]}"),
    Flag.optional
  ),
  replay: Flag.String("replay").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("A recorded policy: trajectories that --out wrote (their questions are used)"),
    Flag.optional
  ),
  model: Flag.String("model").pipe(
    Flag.withMetavar("DIR"),
    Flag.withDescription("A model as policy: a folder in Hugging Face's layout"),
    Flag.optional
  ),
  run: Flag.String("run").pipe(
    Flag.withMetavar("DIR"),
    Flag.withDescription(
      "What a run has learned as policy; the run's own limits hold, and what it searched is searched, unless others are given"
    ),
    Flag.optional
  ),
  checkpoint: TrainedPolicy.runFlags.checkpoint,
  temperature: Flag.Finite("temperature").pipe(
    Flag.withSchema(Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))),
    Flag.withDescription("With --model and --run: how freely tokens are drawn; 0 takes the likeliest"),
    Flag.withDefault(1)
  ),
  seed: Flag.Int("seed").pipe(
    Flag.withSchema(Schema.Natural),
    Flag.withDescription("With --model and --run: another seed draws other rollouts"),
    Flag.withDefault(0)
  ),
  ...deviceFlags,
  strict: Flag.Boolean("strict").pipe(
    Flag.withDescription("With --replay: fail where an observation differs from the recorded one"),
    Flag.withDefault(false)
  ),
  out: Flag.String("out").pipe(
    Flag.withAlias("o"),
    Flag.withMetavar("FILE"),
    Flag.withDescription("Write every rollout as a JSON line"),
    Flag.optional
  ),
  limit: Flag.Int("limit").pipe(
    Flag.withSchema(Schema.Int.check(Schema.isGreaterThan(0))),
    Flag.withDescription("Use the first N questions only (default all)"),
    Flag.optional
  ),
  groupSize: count("group-size", 1, "Rollouts of each question"),
  concurrency: count("concurrency", 64, "Rollouts in flight at once"),
  maxTurns: optionalCount("max-turns", "Generations that may search; one without search follows (default 4)"),
  topK: optionalCount("top-k", "Passages per search (default 3)"),
  maxPromptTokens: optionalCount(
    "max-prompt-tokens",
    "Tokens of a prompt (default 2048; scripted and recorded policies count bytes: 4096)"
  ),
  maxResponseTokens: optionalCount("max-response-tokens", "Tokens of a generation (default 500; bytes: 2000)"),
  maxObservationTokens: optionalCount("max-observation-tokens", "Tokens of an observation (default 500; bytes: 4000)"),
  maxContextTokens: optionalCount(
    "max-context-tokens",
    "Tokens of prompt and response together (default 4096; bytes: 32768)"
  ),
  deadline: Flag.String("deadline").pipe(
    Flag.withSchema(Schema.DurationFromString),
    Flag.withMetavar("DURATION"),
    Flag.withDescription("Time for one rollout, e.g. \"30 seconds\" (default 10 minutes)"),
    Flag.optional
  ),
  template: Flag.Literals("template", ["search", "r1", "rag"]).pipe(
    Flag.withDescription("The prompt: with search, reasoning without search, or passages up front"),
    Flag.withDefault("search" as const)
  ),
  noSearch: Flag.Boolean("no-search").pipe(
    Flag.withDescription("One generation without search (the R1 baseline)"),
    Flag.withDefault(false)
  ),
  preset: Flag.Literals("preset", ["fixed", "reference"]).pipe(
    Flag.withDescription("Behave as the reference code does, or with its quirks mended"),
    Flag.withDefault("fixed" as const)
  ),
  reward: Flag.Literals("reward", ["em", "f1", "format"]).pipe(
    Flag.withDescription("What an answer earns"),
    Flag.withDefault("em" as const)
  ),
  show: Flag.Int("show").pipe(
    Flag.withSchema(Schema.Natural),
    Flag.withDescription("Print the first N trajectories"),
    Flag.withDefault(1)
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("Print the summary as one JSON object and nothing else"),
    Flag.withDefault(false)
  ),
  ...retrieverFlags
}

const encodeLine = Schema.encodeEffect(RolloutLine)
const encodeMetrics = Schema.encodeEffect(Schema.fromJsonString(Schema.Record(Schema.String, Schema.Finite)))

type Input = Command.Command.Config.Infer<typeof flags>

const rewardLayer = (input: Input) => {
  const compat = Presets.compat[input.preset]
  switch (input.reward) {
    case "em":
      return RewardExactMatch.layer({ answerScope: compat.answerScope })
    case "f1":
      return RewardF1.layer({ answerScope: compat.answerScope })
    case "format":
      return RewardFormat.layer({ scopes: compat })
  }
}

/** What is searched, and a line about it where that is what a run searched. */
const searched = Effect.fnUntraced(function*(input: Input, run: Option.Option<TrainedPolicy.Run>) {
  if (!Rollout.asksEngine({ doSearch: !input.noSearch, template: input.template })) return RetrieverMemory.layer({})
  if (Option.isNone(run)) return retrieverLayer(input)
  const { layer, told } = yield* RunRetriever.choose(input, run.value)
  yield* Console.error(told)
  return layer
})

/**
 * @category commands
 * @since 0.1.0
 */
export const rollout = Command.make("rollout", flags, (input) =>
  Effect.gen(function*() {
    const out = yield* Outputs.claimOut(input.out, [
      ...Outputs.files(input.questions, input.script, input.replay),
      ...yield* Effect.forEach(Option.toArray(input.model), Outputs.model),
      ...Option.isSome(input.run) ? Outputs.run(yield* RunFolder.at(input.run.value)) : [],
      ...retrieverReads(input)
    ])
    const run = yield* runOf(input)
    const { groupSize, limits, madeBy, policy, prompts } = yield* source(input, run)
    // that the lines can tell later which model's tokens they hold
    const made = out === undefined ? undefined : yield* madeBy
    const retriever = yield* searched(input, run)
    const base = { ...Rollout.defaults, ...limits }
    const { tick } = yield* progress({ unit: "rollout" })
    const outcomes = ScoredRollouts.score(Rollout.outcomes(prompts, {
      ...base,
      groupSize,
      seed: String(input.seed),
      concurrency: input.concurrency,
      order: "input",
      ...Option.match(input.deadline, { onNone: () => ({}), onSome: (deadline) => ({ deadline }) }),
      template: input.template,
      doSearch: !input.noSearch,
      maxTurns: Option.getOrElse(input.maxTurns, () => base.maxTurns),
      topK: Option.getOrElse(input.topK, () => base.topK),
      maxPromptTokens: Option.getOrElse(input.maxPromptTokens, () => base.maxPromptTokens),
      maxResponseTokens: Option.getOrElse(input.maxResponseTokens, () => base.maxResponseTokens),
      maxObservationTokens: Option.getOrElse(input.maxObservationTokens, () => base.maxObservationTokens),
      maxContextTokens: Option.getOrElse(input.maxContextTokens, () => base.maxContextTokens),
      compat: Presets.compat[input.preset]
    })).pipe(Stream.tap(() => tick))
    const scored: Array<ScoredTrajectory> = []
    const failures: Array<Failed<Rollout.RolloutError>> = []
    const asked = (write: WriteLines) =>
      Stream.runForEach(
        outcomes,
        Effect.fnUntraced(function*(outcome) {
          if (outcome._tag === "Scored") scored.push(outcome.scored)
          else failures.push(outcome)
          if (made === undefined) return
          const line = outcome._tag === "Scored" ? { ...outcome, policy: made } : outcome
          yield* write([yield* Effect.orDie(encodeLine(line))])
        })
      ).pipe(
        Effect.filterOrFail(
          () => scored.length + failures.length > 0,
          () => userError("There are no questions.")
        )
      )
    yield* withLines(out, asked, { precious: "rollouts" }).pipe(
      Effect.provide([
        policy,
        retriever,
        rewardLayer(input),
        FairScheduler.layer
      ]),
      Stopping.waitsFor(
        Option.isSome(input.model) || Option.isSome(input.run) ? Stopping.deviceCall : "the turns in hand"
      )
    )
    if (input.json) {
      yield* Effect.flatMap(encodeMetrics(Metrics.rollouts(scored, failures)), Console.log)
    } else {
      const style = yield* terminalStyle
      for (const one of scored.slice(0, input.show)) yield* Console.log(`${trajectoryView(one, style)}\n`)
      yield* Console.log(
        `${questionTable(scored, failures, style, yield* TextWidth.available)}\n\n${totals(scored, failures)}`
      )
    }
    if (scored.length === 0) {
      return yield* userError(`No rollout completed: ${failures[0]?.error.message}`)
    }
  }).pipe(
    Effect.scoped,
    PathKind.explain([
      ...PathKind.given("questions", input.questions),
      ...PathKind.given("script", input.script),
      ...PathKind.given("rollouts", input.replay)
    ], ways)
  )).pipe(
    Command.withDescription(
      "Run questions through a model, a scripted or a recorded policy and a real retriever, score them, and write the trajectories."
    ),
    Command.withShortDescription("Run questions through a policy and a retriever"),
    Command.withExamples([
      {
        command:
          "search-r1 rollout --questions questions.jsonl --script script.jsonl --corpus corpus.jsonl --out rollouts.jsonl",
        description: "A scripted policy over a corpus"
      },
      {
        command: "search-r1 rollout --replay rollouts.jsonl --remote http://127.0.0.1:8000/retrieve",
        description: "The same policy texts against another retriever"
      },
      {
        command:
          "search-r1 rollout --questions train.jsonl --run runs/20260101-120000-grpo --corpus corpus.jsonl --group-size 8 --out rollouts.jsonl",
        description: "Eight samples a question of what a run has learned, for search-r1 sft --min-reward 1"
      }
    ])
  )
