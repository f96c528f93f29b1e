/**
 * `search-r1 ask`: one question to what a run has learned, shown as it thinks, searches, reads and answers.
 *
 * @since 0.1.0
 */
import { Console, Effect, Layer, Schema, Terminal } from "effect"
import { Argument, Command, TerminalCapabilities } from "effect/cli"
import { ScoredDocument } from "../domain/Document.ts"
import { plural } from "../domain/Plural.ts"
import { normalizeQuestion, Question } from "../domain/Question.ts"
import { greedy } from "../domain/Sampling.ts"
import { Ending, type Segment, type Trajectory } from "../domain/Trajectory.ts"
import * as Rollout from "../programs/Rollout.ts"
import { rolloutOptions } from "../programs/train/Collect.ts"
import * as Flag from "./flag.ts"
import { retrieverFlags } from "./retrieverFlags.ts"
import * as RunRetriever from "./runRetriever.ts"
import * as SpokenText from "./spokenText.ts"
import * as Stopping from "./stopping.ts"
import { printable, type Style, style as terminalStyle } from "./style.ts"
import * as TrainedPolicy from "./trainedPolicy.ts"
import { prediction, segmentText } from "./trajectoryView.ts"
import { userError } from "./userError.ts"

const flags = {
  question: Argument.String("question").pipe(Argument.withDescription("What to ask")),
  ...TrainedPolicy.runFlags,
  ...retrieverFlags,
  temperature: Flag.Finite("temperature").pipe(
    Flag.withSchema(Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))),
    Flag.withDescription("How freely tokens are drawn; 0 always takes the likeliest one"),
    Flag.withDefault(0)
  ),
  seed: Flag.Int("seed").pipe(
    Flag.withSchema(Schema.Natural),
    Flag.withDescription("With --temperature: another seed draws another answer"),
    Flag.withDefault(0)
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription(
      "Print one JSON object: {\"question\",\"answer\",\"searches\":[{\"query\",\"documents\"}],\"text\",\"ending\",\"step\"}"
    ),
    Flag.withDefault(false)
  )
}

type Input = Command.Command.Config.Infer<typeof flags>

const Reply = Schema.Struct({
  question: Schema.String,
  /** Null where the policy gave none. */
  answer: Schema.NullOr(Schema.String),
  searches: Schema.Array(Schema.Struct({ query: Schema.String, documents: Schema.Array(ScoredDocument) })),
  /** Everything behind the prompt. */
  text: Schema.String,
  ending: Ending,
  /** Steps of training behind the policy that answered. */
  step: Schema.Natural
})

const encodeReply = Schema.encodeEffect(Schema.fromJsonString(Schema.toCodecJson(Reply)))

const searchesOf = (segments: ReadonlyArray<Segment>) =>
  segments.flatMap((segment) =>
    segment._tag === "Observation" && segment.source._tag === "Search"
      ? [{ query: segment.source.query, documents: segment.source.documents }]
      : []
  )

/** One rollout with the run's own limits. */
const roll = Effect.fnUntraced(function*(
  question: string,
  input: Input,
  run: TrainedPolicy.Run,
  hear: Pick<Rollout.Options, "onSegment" | "onText">
) {
  const outcome = yield* Rollout.run(
    { promptKey: "ask", question: new Question({ id: "ask", dataSource: "ask", question, goldenAnswers: [] }) },
    0,
    {
      ...rolloutOptions(run.config),
      groupSize: 1,
      seed: String(input.seed),
      sampling: { ...greedy, temperature: input.temperature },
      ...hear
    }
  )
  return outcome._tag === "Failed" ? yield* userError(outcome.error) : outcome.trajectory
})

/** A turn in one piece where nobody sees it arise. */
const byTurns = (style: Style): Pick<Rollout.Options, "onSegment"> => ({
  onSegment: (segment) => {
    const text = segment.text.trim()
    return text === "" ? Effect.void : Console.log(segmentText({ ...segment, text }, style))
  }
})

/** Every token as it is drawn. What a policy cannot tell in pieces is shown with its segment. */
const byTokens = Effect.map(
  Effect.all([Terminal.Terminal, terminalStyle]),
  ([terminal, style]): Pick<Rollout.Options, "onSegment" | "onText"> => {
    const spoken = SpokenText.make(style)
    let told = 0
    const show = (text: string) => text === "" ? Effect.void : Effect.ignore(terminal.display(text))
    return {
      onText: (piece) =>
        Effect.suspend(() => {
          told += piece.length
          return show(spoken.push(piece))
        }),
      onSegment: (segment) =>
        Effect.suspend(() => {
          if (segment._tag !== "Sampled") {
            return show(`${segmentText({ ...segment, text: segment.text.trim() }, style)}\n`)
          }
          const rest = spoken.push(segment.text.slice(told)) + spoken.end()
          told = 0
          return show(`${rest}\n`)
        })
    }
  }
)

const replyOf = (question: string, step: number, trajectory: Trajectory): typeof Reply.Type => ({
  question,
  answer: prediction(trajectory),
  searches: searchesOf(trajectory.segments),
  text: trajectory.segments.flatMap((segment) => segment._tag === "Prompt" ? [] : [segment.text]).join(""),
  ending: trajectory.ending,
  step
})

/**
 * @category commands
 * @since 0.1.0
 */
export const ask = Command.make("ask", flags, (input) =>
  Effect.gen(function*() {
    const style = yield* terminalStyle
    const question = normalizeQuestion(input.question)
    if (question === "") return yield* userError("The question is empty.", "search-r1 ask \"Who …?\" --run DIR")
    const run = yield* TrainedPolicy.open(input)
    const retriever = yield* RunRetriever.choose(input, run)
    yield* Effect.gen(function*() {
      const step = yield* TrainedPolicy.restore(run, input.checkpoint)
      if (!input.json) {
        yield* Console.log(style.heading(printable(question)))
        yield* Console.log(
          style.faint(`${run.folder.directory} after ${plural(step, "step")}, ${retriever.told}`)
        )
      }
      const { canAnimate } = yield* TerminalCapabilities.TerminalCapabilities
      const hear = input.json ? {} : canAnimate ? yield* byTokens : byTurns(style)
      const trajectory = yield* roll(question, input, run, hear)
      const reply = replyOf(question, step, trajectory)
      if (input.json) return yield* Effect.flatMap(Effect.orDie(encodeReply(reply)), Console.log)
      yield* Console.log([
        "",
        reply.answer === null
          ? style.bad(`No answer (ended by ${reply.ending})`)
          : `${style.title("Answer:")} ${style.answer(printable(reply.answer))}`,
        style.faint(plural(reply.searches.length, "search", "searches"))
      ].join("\n"))
    }).pipe(
      Effect.provide(Layer.merge(TrainedPolicy.layer(run), retriever.layer)),
      Stopping.waitsFor(Stopping.deviceCall)
    )
  }).pipe(Effect.scoped)).pipe(
    Command.withDescription(
      "Ask the policy of a run a question and watch it think, search, read and answer, token by token in a terminal. It searches what the run searched unless --corpus, --index or --remote name something else."
    ),
    Command.withShortDescription("Ask a trained policy a question"),
    Command.withExamples([
      {
        command: "search-r1 ask \"Where was the spouse of Tolen Rizel born?\" --run runs/20260101-120000-start",
        description: "A question about the world that the run learned in"
      },
      {
        command:
          "search-r1 ask \"Who founded it?\" --run runs/20260101-120000-grpo --remote http://127.0.0.1:8000/retrieve",
        description: "Search through a server"
      },
      {
        command: "search-r1 ask \"Who founded it?\" --run runs/20260101-120000-grpo --temperature 1 --seed 3 --json",
        description: "A sampled answer, as JSON"
      }
    ])
  )
