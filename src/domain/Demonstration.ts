/**
 * Trajectories to imitate: who wrote which part of a recorded conversation, so that only the policy's own is learned.
 *
 * @since 0.1.0
 */
import { Option, Result, Schema } from "effect"
import * as Answer from "./Answer.ts"
import { extractAnswer } from "./FormatReward.ts"
import * as GoldenAnswers from "./GoldenAnswers.ts"
import { ScoredTrajectory } from "./Outcome.ts"
import { wrapInformation } from "./Protocol.ts"
import { at, type Fields, isFields, kind, optionalString } from "./RecordFields.ts"
import * as Recording from "./Recording.ts"
import { type Segment, Trajectory } from "./Trajectory.ts"
import * as Transcript from "./Transcript.ts"

/**
 * A part of a conversation. `ids` are the tokens that it was recorded with, where the recording has them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Piece {
  readonly text: string
  readonly ids: Int32Array | null
  /** Whether the policy wrote it. Prompts, retrieved passages and the environment's messages are read, not learned. */
  readonly learned: boolean
}

/**
 * A message in front of the policy's first.
 *
 * @category models
 * @since 0.1.0
 */
export interface PromptMessage {
  readonly role: "system" | "user"
  readonly content: string
}

/**
 * A conversation to imitate. `prompt` is its first part: as recorded, as messages for the model's chat template, or null
 * where only the question is known. `reward` is null where nothing tells it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Demonstration {
  readonly id: string | null
  readonly question: string
  readonly prompt: Piece | ReadonlyArray<PromptMessage> | null
  readonly pieces: ReadonlyArray<Piece>
  readonly reward: number | null
}

const ofSegment = (segment: Segment): Piece => ({
  text: segment.text,
  ids: segment.ids,
  learned: segment._tag === "Sampled"
})

const exactMatch = (transcript: Transcript.Transcript, goldenAnswers: ReadonlyArray<string>): number =>
  Answer.scores(extractAnswer(transcript, "modelSegments"), goldenAnswers).em

const ofTrajectory = (trajectory: Trajectory, reward: number | null): Demonstration => {
  const { question, segments } = trajectory
  const [first, ...rest] = segments
  const pieces = (first?._tag === "Prompt" ? rest : segments).map(ofSegment)
  return {
    id: question.id,
    question: question.question,
    prompt: first?._tag === "Prompt" ? ofSegment(first) : null,
    pieces,
    reward: reward ??
      (question.goldenAnswers.length === 0
        ? null
        : exactMatch(Transcript.fromSegments(segments), question.goldenAnswers))
  }
}

const ofTranscript = ({ parts }: Transcript.Transcript): ReadonlyArray<Piece> =>
  parts.map((part) => ({ text: part.text, ids: null, learned: part._tag === "Policy" }))

const decodeTrajectory = Schema.decodeUnknownResult(Schema.toCodecJson(Trajectory))
const decodeScored = Schema.decodeUnknownResult(Schema.toCodecJson(ScoredTrajectory))

const own = (fields: Fields): Result.Result<Demonstration, string> | undefined => {
  const whole = (error: Schema.SchemaError) => `this is no trajectory of this package: ${error.message}`
  if (Array.isArray(fields["segments"])) {
    return Result.mapBoth(decodeTrajectory(fields), {
      onSuccess: (trajectory) => ofTrajectory(trajectory, null),
      onFailure: whole
    })
  }
  if (fields["_tag"] === "Failed" && fields["error"] !== undefined) {
    const cause = at(fields, "error", "_tag")
    return Result.fail(
      `this rollout failed${typeof cause === "string" ? ` (${cause})` : ""}: it has nothing to imitate`
    )
  }
  const scored = fields["scored"] ?? fields
  return isFields(scored) && isFields(scored["trajectory"])
    ? Result.mapBoth(decodeScored(scored), {
      onSuccess: ({ reward, trajectory }) => ofTrajectory(trajectory, reward),
      onFailure: whole
    })
    : undefined
}

const Messages = Schema.Array(Schema.Struct({
  role: Schema.Literals(["system", "user", "assistant", "tool"]),
  content: Schema.String
}))
const decodeMessages = Schema.decodeUnknownOption(Messages)

type Message = (typeof Messages.Type)[number]

const isPromptMessage = (message: Message): message is PromptMessage & Message =>
  message.role === "system" || message.role === "user"

const answered = (content: string): boolean => content.includes("<information>")

/** What stands behind the first message of the policy: its own text, and what the environment answered. */
const pieceOf = (message: Message): Result.Result<Piece, string> => {
  const { content, role } = message
  if (role === "assistant") return Result.succeed({ text: content, ids: null, learned: true })
  if (role === "tool" || answered(content)) {
    return Result.succeed({ text: answered(content) ? content : wrapInformation(content), ids: null, learned: false })
  }
  return Result.fail(
    `a ${role} message behind the assistant's is no search result: give results the role "tool", or <information> tags`
  )
}

const rewardOf = (fields: Fields): Result.Result<number | null, string> => {
  const { reward } = fields
  if (reward === undefined || reward === null) return Result.succeed(null)
  return typeof reward === "number"
    ? Result.succeed(reward)
    : Result.fail(`"reward" must be a number, got ${kind(reward)}`)
}

/** In a conversation nobody but the roles says who wrote what, so tags in passages are no trouble. */
const transcriptOf = (pieces: ReadonlyArray<Piece>): Transcript.Transcript => ({
  prompt: "",
  parts: pieces.map(({ learned, text }) =>
    learned ? Transcript.Part.Policy({ text }) : Transcript.Part.Search({ text, query: "", closed: true })
  )
})

const ofMessages = (fields: Fields): Result.Result<Demonstration, string> =>
  Result.gen(function*() {
    const decoded = decodeMessages(fields["messages"])
    if (Option.isNone(decoded)) {
      return yield* Result.fail(
        `"messages" must be an array of {"role","content"}, roles system, user, assistant and tool`
      )
    }
    const messages = decoded.value
    const first = messages.findIndex(({ role }) => role === "assistant")
    if (first === -1) {
      return yield* Result.fail(`"messages" holds no message of the assistant: there is nothing to learn`)
    }
    const prompt = messages.slice(0, first).filter(isPromptMessage)
    if (prompt.length !== first) return yield* Result.fail("a tool message cannot come before the assistant's first")
    const pieces: Array<Piece> = []
    for (const message of messages.slice(first)) pieces.push(yield* pieceOf(message))
    const golden = yield* GoldenAnswers.optional(fields)
    const reward = yield* rewardOf(fields)
    return {
      id: (yield* optionalString(fields, "id")) ?? null,
      question: prompt.findLast(({ role }) => role === "user")?.content ?? "",
      prompt,
      pieces,
      reward: reward ?? (golden.length === 0 ? null : exactMatch(transcriptOf(pieces), golden))
    }
  })

/**
 * Reads the JSON value of a trajectory to imitate, in one of these forms:
 *
 * - a trajectory of this package, as `rollout --out` and the logs of runs hold it: its own tokens are learned;
 * - a conversation `{messages: [{role, content}]}`: the assistant's messages are learned; search results are messages of
 *   the role `tool`, or of the user with `<information>` tags;
 * - whatever `score` reads, such as `{question, golden_answers, response}`: see `TranscriptParser` for who wrote what.
 *
 * `reward` is the record's own, else exact match with the golden answers, else null.
 *
 * @category decoding
 * @since 0.1.0
 */
export const fromJson = (value: unknown): Result.Result<Demonstration, string> => {
  if (!isFields(value)) {
    return Result.fail(`expected an object with a trajectory, "messages" or "response", got ${kind(value)}`)
  }
  const trajectory = own(value)
  if (trajectory !== undefined) return trajectory
  if (value["messages"] !== undefined) return ofMessages(value)
  return Result.gen(function*() {
    const { goldenAnswers, id, question, transcript } = yield* Recording.fromJson(value)
    if (question === "" && transcript.prompt === "") {
      return yield* Result.fail(`there is neither a "question" nor a "prompt"`)
    }
    return {
      id: id ?? null,
      question,
      prompt: transcript.prompt === "" ? null : { text: transcript.prompt, ids: null, learned: false },
      pieces: ofTranscript(transcript),
      reward: (yield* rewardOf(value)) ?? exactMatch(transcript, goldenAnswers)
    }
  })
}
