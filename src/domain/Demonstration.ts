/**
 * Trajectories to imitate: who wrote which part of a recorded conversation, so that only the policy's own is learned.
 *
 * @since 0.1.0
 */
import { Option, Result, Schema } from "effect"
import * as Answer from "./Answer.ts"
import * as ChatPrompt from "./ChatPrompt.ts"
import { messagesOf, transcriptOf } from "./DemonstrationMessages.ts"
import { extractAnswer } from "./FormatReward.ts"
import * as GoldenAnswers from "./GoldenAnswers.ts"
import { ScoredTrajectory } from "./Outcome.ts"
import * as OwnWords from "./OwnWords.ts"
import { PolicySource } from "./PolicySource.ts"
import { informationSpans, invalidActionMessage, observationSpans, policySpans } from "./Protocol.ts"
import { strip } from "./PythonString.ts"
import { at, type Fields, isFields, isMissing, kind, optionalString } from "./RecordFields.ts"
import * as Recording from "./Recording.ts"
import * as Spans from "./Spans.ts"
import { type Segment, Trajectory } from "./Trajectory.ts"
import * as Transcript from "./Transcript.ts"
import * as TurnMarks from "./TurnMarks.ts"

/**
 * A part of a conversation behind the prompt. `recorded` is its text with the tokens that it was recorded with, where the
 * recording has them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Piece {
  readonly spans: Spans.Spans
  readonly recorded: { readonly text: string; readonly ids: Int32Array } | null
  /** Whether the policy wrote it. Retrieved passages and the environment's messages are read, not learned. */
  readonly learned: boolean
  /** Whether the policy ended its text with it. */
  readonly ends: boolean
}

/**
 * What stood in front of the policy's first words: messages for the learning model's own chat template. `text` is the prompt
 * as it was recorded, or null.
 *
 * @category models
 * @since 0.2.0
 */
export interface Prompt extends ChatPrompt.ChatPrompt {
  readonly text: string | null
}

/**
 * A conversation to imitate. `prompt` is null where only the question is known, `reward` where nothing tells it, `madeBy`
 * where the recording does not say which policy made it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Demonstration {
  readonly id: string | null
  readonly question: string
  readonly prompt: Prompt | null
  readonly pieces: ReadonlyArray<Piece>
  readonly reward: number | null
  readonly madeBy: PolicySource | null
}

/** A mark that ends texts of a family that is not known here. */
const someEnd = /<(?!\/?(?:think|search|information|answer)>)[^<>\s]{1,64}>\s*$/

/** Where the policy's own words end. Behind them stands a mark where it ended its text itself and that was recorded. */
const wordsOf = (text: string, ended: boolean): string => {
  const end = TurnMarks.withoutEnds(text)
  return text.slice(0, ended && end === text.length ? someEnd.exec(text)?.index ?? end : end)
}

const policyPiece = (text: string, ended: boolean, recorded: Piece["recorded"]): Piece => {
  const words = wordsOf(text, ended)
  return { spans: policySpans(words), recorded, learned: true, ends: ended && words.length < text.length }
}

const shownPiece = (spans: Spans.Spans, recorded: Piece["recorded"] = null): Piece => ({
  spans,
  recorded,
  learned: false,
  ends: false
})

/** The environment's message is this package's own as far as it is that message. */
const messageSpans = (text: string): Spans.Spans =>
  text !== "" && invalidActionMessage.startsWith(text) ? Spans.own(text) : Spans.foreign(text)

const ofSegment = (segment: Segment): Piece => {
  const { ids, text } = segment
  const recorded = { ids, text }
  switch (segment._tag) {
    case "Prompt":
      return shownPiece(Spans.foreign(text), recorded)
    case "Sampled":
      return policyPiece(text, segment.finish === "eos", recorded)
    case "Observation":
      return shownPiece(segment.source._tag === "Search" ? observationSpans(text) : messageSpans(text), recorded)
  }
}

const tagged = /^\s*<information>([^]*)<\/information>\s*$/

/** What stood in a turn of somebody else's, as rollouts show it: the marks of turns were another model's. */
const ofTurn = (part: Exclude<Transcript.Part, { readonly _tag: "Policy" }>, shown: string): Spans.Spans => {
  if (part._tag === "Search") return informationSpans(tagged.exec(shown)?.[1] ?? shown)
  return messageSpans(strip(shown) === strip(invalidActionMessage) ? invalidActionMessage : shown)
}

const shownPart = (part: Exclude<Transcript.Part, { readonly _tag: "Policy" }>): Piece => {
  const shown = TurnMarks.unmarked(part.text)
  if (shown !== undefined) return shownPiece(ofTurn(part, shown))
  return shownPiece(part._tag === "Search" ? observationSpans(part.text) : messageSpans(part.text))
}

/** Recorded text says less than tokens do: what might be somebody else's within the policy's turns is not learned. */
const ofParts = (parts: ReadonlyArray<Transcript.Part>): ReadonlyArray<Piece> =>
  parts.flatMap((part, index) => {
    if (part._tag !== "Policy") return [shownPart(part)]
    const before = parts[index - 1]
    return OwnWords.split(part.text, before?._tag === "Search" ? before.text : undefined).map(({ own, text }) =>
      own ? policyPiece(text, false, null) : shownPiece(observationSpans(text))
    )
  })

const exactMatch = (transcript: Transcript.Transcript, goldenAnswers: ReadonlyArray<string>): number =>
  Answer.scores(extractAnswer(transcript, "modelSegments"), goldenAnswers).em

const ofTrajectory = (trajectory: Trajectory, reward: number | null, madeBy: PolicySource | null): Demonstration => {
  const { question, segments } = trajectory
  const [first, ...rest] = segments
  const prompt = first?._tag === "Prompt" ? ChatPrompt.parse(first.text, question.question) : null
  return {
    id: question.id,
    question: question.question,
    // rollouts give no system message: one that is there is a template's own
    prompt: prompt === null || first === undefined
      ? null
      : { text: first.text, opened: [], messages: prompt.messages.filter(({ role }) => role !== "system") },
    pieces: (prompt === null ? segments : rest).map(ofSegment),
    reward: reward ??
      (question.goldenAnswers.length === 0
        ? null
        : exactMatch(Transcript.fromSegments(segments), question.goldenAnswers)),
    madeBy
  }
}

const decodeTrajectory = Schema.decodeUnknownResult(Schema.toCodecJson(Trajectory))
const decodeScored = Schema.decodeUnknownResult(Schema.toCodecJson(ScoredTrajectory))
const decodeSource = Schema.decodeUnknownOption(PolicySource)

const own = (fields: Fields): Result.Result<Demonstration, string> | undefined => {
  const whole = (error: Schema.SchemaError) => `this is no trajectory of this package: ${error.message}`
  if (Array.isArray(fields["segments"])) {
    return Result.mapBoth(decodeTrajectory(fields), {
      onSuccess: (trajectory) => ofTrajectory(trajectory, null, null),
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
      onSuccess: ({ reward, trajectory }) =>
        ofTrajectory(trajectory, reward, Option.getOrNull(decodeSource(fields["policy"]))),
      onFailure: whole
    })
    : undefined
}

const rewardOf = (fields: Fields): Result.Result<number | null, string> => {
  const { reward } = fields
  if (reward === undefined || reward === null) return Result.succeed(null)
  return typeof reward === "number"
    ? Result.succeed(reward)
    : Result.fail(`"reward" must be a number, got ${kind(reward)}`)
}

const ofMessages = (fields: Fields): Result.Result<Demonstration, string> =>
  Result.gen(function*() {
    const { answers, prompt, question } = yield* messagesOf(fields["messages"])
    const golden = yield* GoldenAnswers.optional(fields)
    const reward = yield* rewardOf(fields)
    const parts = yield* transcriptOf(answers)
    return {
      id: (yield* optionalString(fields, "id")) ?? null,
      question,
      prompt: { text: null, messages: prompt, opened: [] },
      pieces: ofParts(parts),
      reward: reward ?? (golden.length === 0 ? null : exactMatch({ prompt: "", parts }, golden)),
      madeBy: null
    }
  })

/** The prompt of a recording: messages as they are, text by its marks. */
const promptOf = (value: unknown, text: string, question: string): Result.Result<Prompt | null, string> => {
  if (!Array.isArray(value)) return Result.succeed(text === "" ? null : { ...ChatPrompt.parse(text, question), text })
  return Result.flatMap(Recording.promptMessages(value), (messages) => {
    const twice = ChatPrompt.renderedTwice(messages)
    return twice === undefined ? Result.succeed({ ...Recording.chatPrompt(messages), text: null }) : Result.fail(twice)
  })
}

const ofRecording = (fields: Fields): Result.Result<Demonstration, string> =>
  Result.gen(function*() {
    const { goldenAnswers, id, question, transcript } = yield* Recording.fromJson(fields)
    if (question === "" && transcript.prompt === "") {
      return yield* Result.fail(`there is neither a "question" nor a "prompt"`)
    }
    const given = isMissing(fields["prompt"]) ? at(fields, "output", "query") : fields["prompt"]
    return {
      id: id ?? null,
      question,
      prompt: yield* promptOf(given, transcript.prompt, question),
      pieces: ofParts(transcript.parts),
      reward: (yield* rewardOf(fields)) ?? exactMatch(transcript, goldenAnswers),
      madeBy: null
    }
  })

/**
 * Reads the JSON value of a trajectory to imitate, in one of these forms:
 *
 * - a trajectory of this package, as `rollout --out` and the logs of runs hold it: its own tokens are learned;
 * - a conversation `{messages: [{role, content}]}`: what the assistant wrote is learned, as `TranscriptParser` finds it in
 *   its messages; search results are messages of the role `tool`, or of the user between `<information>` tags;
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
  return own(value) ?? (value["messages"] === undefined ? ofRecording(value) : ofMessages(value))
}
