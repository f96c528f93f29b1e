/**
 * `search-r1 rollout`: questions against a scripted or recorded policy and a real retriever.
 *
 * @since 0.1.0
 */
import { Console, Effect, Layer, Option, Schema, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import * as Metrics from "../domain/Metrics.ts"
import type { Failed, ScoredTrajectory } from "../domain/Outcome.ts"
import * as Presets from "../domain/Presets.ts"
import { greedy } from "../domain/Sampling.ts"
import * as PolicyReplay from "../layers/policy/PolicyReplay.ts"
import * as QuestionsFile from "../layers/questions/QuestionsFile.ts"
import * as RewardExactMatch from "../layers/reward/RewardExactMatch.ts"
import * as RewardF1 from "../layers/reward/RewardF1.ts"
import * as RewardFormat from "../layers/reward/RewardFormat.ts"
import * as TokenizerBytes from "../layers/tokenizer/TokenizerBytes.ts"
import * as FairScheduler from "../programs/FairScheduler.ts"
import * as Rollout from "../programs/Rollout.ts"
import { RolloutLine } from "../programs/rollout/Record.ts"
import * as ScoredRollouts from "../programs/ScoredRollouts.ts"
import { lineWriter } from "./lineWriter.ts"
import { layerScript, promptsOf, questionOf, readTrajectories } from "./policyScript.ts"
import { progress } from "./progress.ts"
import { retrieverFlags, retrieverLayer } from "./retrieverFlags.ts"
import { questionTable, totals } from "./rolloutSummary.ts"
import { style as terminalStyle } from "./style.ts"
import { trajectoryView } from "./trajectoryView.ts"
import { userError } from "./userError.ts"

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
    Flag.withDescription("Use the first N questions only"),
    Flag.optional
  ),
  groupSize: count("group-size", 1, "Rollouts of each question"),
  concurrency: count("concurrency", 64, "Rollouts in flight at once"),
  maxTurns: count("max-turns", 4, "Generations that may search; one without search follows"),
  topK: count("top-k", 3, "Passages per search"),
  maxPromptTokens: count("max-prompt-tokens", 4096, "Tokens (here bytes) of a prompt"),
  maxResponseTokens: count("max-response-tokens", 2000, "Tokens (here bytes) of a generation"),
  maxObservationTokens: count("max-observation-tokens", 4000, "Tokens (here bytes) of an observation"),
  maxContextTokens: count("max-context-tokens", 32_768, "Tokens (here bytes) of prompt and response together"),
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

const prompts = (input: Input) =>
  Option.match(input.limit, { onNone: () => promptsOf, onSome: (limit) => Stream.take(promptsOf, limit) })

const source = Effect.fnUntraced(function*(input: Input) {
  if (Option.isSome(input.replay)) {
    const recorded = yield* readTrajectories(input.replay.value)
    const instances = new Map(
      recorded.map((trajectory): [string, Rollout.PromptInstance] => [trajectory.promptKey, trajectory])
    )
    return {
      prompts: Stream.fromIterable(instances.values()),
      policy: PolicyReplay.layer(recorded, { observations: input.strict ? "check" : "ignore" }),
      groupSize: Math.max(1, ...recorded.map((trajectory) => trajectory.sample + 1))
    }
  }
  if (Option.isNone(input.questions) || Option.isNone(input.script)) {
    return yield* userError(
      "A rollout needs questions and a policy.",
      "Give --questions FILE with --script FILE, or --replay FILE with what an earlier run wrote."
    )
  }
  return {
    prompts: Stream.provide(prompts(input), QuestionsFile.layer({ paths: [input.questions.value] })),
    policy: layerScript(input.script.value, questionOf),
    groupSize: input.groupSize
  }
})

/**
 * @category commands
 * @since 0.1.0
 */
export const rollout = Command.make("rollout", flags, (input) =>
  Effect.gen(function*() {
    const { groupSize, policy, prompts } = yield* source(input)
    const { tick } = yield* progress({ unit: "rollouts" })
    const outcomes = ScoredRollouts.score(Rollout.outcomes(prompts, {
      groupSize,
      concurrency: input.concurrency,
      order: "input",
      ...Option.match(input.deadline, { onNone: () => ({}), onSome: (deadline) => ({ deadline }) }),
      template: input.template,
      doSearch: !input.noSearch,
      maxTurns: input.maxTurns,
      topK: input.topK,
      maxPromptTokens: input.maxPromptTokens,
      maxResponseTokens: input.maxResponseTokens,
      maxObservationTokens: input.maxObservationTokens,
      maxContextTokens: input.maxContextTokens,
      sampling: greedy,
      compat: Presets.compat[input.preset]
    })).pipe(Stream.tap(() => tick))
    const write = Option.isSome(input.out)
      ? yield* lineWriter(input.out.value, [
        ...input.questions.pipe(Option.toArray),
        ...input.replay.pipe(Option.toArray)
      ])
      : () => Effect.void
    const scored: Array<ScoredTrajectory> = []
    const failures: Array<Failed<Rollout.RolloutError>> = []
    yield* outcomes.pipe(
      Stream.runForEach(Effect.fnUntraced(function*(outcome) {
        if (outcome._tag === "Scored") scored.push(outcome.scored)
        else failures.push(outcome)
        if (Option.isSome(input.out)) yield* write([yield* Effect.orDie(encodeLine(outcome))])
      })),
      Effect.provide([
        policy.pipe(Layer.provideMerge(TokenizerBytes.layer)),
        retrieverLayer(input),
        rewardLayer(input),
        FairScheduler.layer
      ])
    )
    if (input.json) {
      yield* Effect.flatMap(encodeMetrics(Metrics.rollouts(scored, failures)), Console.log)
    } else {
      const style = yield* terminalStyle
      for (const one of scored.slice(0, input.show)) yield* Console.log(`${trajectoryView(one, style)}\n`)
      yield* Console.log(`${questionTable(scored, failures, style)}\n\n${totals(scored, failures)}`)
    }
    if (scored.length === 0) {
      return yield* userError(
        failures.length === 0 ? "There are no questions." : `No rollout completed: ${failures[0]?.error.message}`
      )
    }
  }).pipe(Effect.scoped)).pipe(
    Command.withDescription(
      "Run questions through a scripted or a recorded policy and a real retriever, score them, and write the trajectories."
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
      }
    ])
  )
