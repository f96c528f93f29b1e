/**
 * Recorded trajectories as others write them: what can be graded after the fact.
 *
 * @since 0.1.0
 */
import { Result, Schema } from "effect"
import * as ChatPrompt from "./ChatPrompt.ts"
import * as GoldenAnswers from "./GoldenAnswers.ts"
import * as MessageContent from "./MessageContent.ts"
import { ScoredTrajectory } from "./Outcome.ts"
import { questionIn } from "./PromptQuestion.ts"
import { policySpans, renderPrompt } from "./Protocol.ts"
import { at, type Fields, isFields, isMissing, kind, optionalString } from "./RecordFields.ts"
import { Trajectory } from "./Trajectory.ts"
import * as Transcript from "./Transcript.ts"
import { parse } from "./TranscriptParser.ts"

/**
 * A recorded trajectory with its question. `id` and `dataSource` are absent where the record has none.
 *
 * @category models
 * @since 0.1.0
 */
export interface Recording {
  readonly id: string | undefined
  readonly dataSource: string | undefined
  readonly question: string
  readonly goldenAnswers: ReadonlyArray<string>
  readonly transcript: Transcript.Transcript
}

interface Message {
  readonly role: string
  readonly content: string
}

/**
 * A prompt that is a list of messages, whatever names its roles have.
 *
 * @category decoding
 * @since 0.2.0
 */
export const promptMessages = (value: unknown): Result.Result<ReadonlyArray<Message>, string> =>
  Array.isArray(value)
    ? Result.all(value.map((message, index): Result.Result<Message, string> => {
      const role: unknown = isFields(message) ? message["role"] : undefined
      return typeof role === "string" && isFields(message)
        ? Result.mapBoth(MessageContent.textOf(message["content"]), {
          onSuccess: (content) => ({ role, content }),
          onFailure: (reason) => `prompt[${index}]: ${reason}`
        })
        : Result.fail(`prompt[${index}] must be {"role","content"}, got ${kind(message)}`)
    }))
    : Result.fail(`"prompt" must be a string or an array of {"role","content"} messages, got ${kind(value)}`)

/**
 * Such a prompt as messages for a chat template. Words that are put into the assistant's mouth stay open.
 *
 * @category conversions
 * @since 0.2.0
 */
export const chatPrompt = (messages: ReadonlyArray<Message>): ChatPrompt.ChatPrompt => {
  const last = messages.at(-1)
  const opened = last?.role === "assistant"
  return {
    messages: (opened ? messages.slice(0, -1) : messages).map(({ content, role }) => ({
      role: MessageContent.roleOf(role) ?? "user",
      content: ChatPrompt.contentOf(content)
    })),
    opened: opened ? policySpans(last.content) : []
  }
}

/** A prompt as text; messages are rendered in ChatML. */
const promptText = (value: unknown): Result.Result<string | undefined, string> => {
  if (isMissing(value)) return Result.succeed(undefined)
  if (typeof value === "string") return Result.succeed(value)
  return Result.map(promptMessages(value), (messages) => {
    const turn = ({ content, role }: Message) => `<|im_start|>${role}\n${content}`
    const last = messages.at(-1)
    // words that are put into the assistant's mouth stay open: the policy goes on with them
    return last?.role === "assistant"
      ? messages.slice(0, -1).map((message) => `${turn(message)}<|im_end|>\n`).join("") + turn(last)
      : `${messages.map((message) => `${turn(message)}<|im_end|>\n`).join("")}<|im_start|>assistant\n`
  })
}

/**
 * The prompt that the reference gives a Qwen instruct model for a question: what a record without one is taken to have
 * had, where a rule needs it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const referencePrompt = (question: string): string =>
  `<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n<|im_start|>user\n${
    renderPrompt("search", question)
  }<|im_end|>\n<|im_start|>assistant\n`

const decodeTrajectory = Schema.decodeUnknownResult(Schema.toCodecJson(Trajectory))
const decodeScored = Schema.decodeUnknownResult(Schema.toCodecJson(ScoredTrajectory))

const fromTrajectory = ({ question, segments }: Trajectory): Recording => ({
  id: question.id,
  dataSource: question.dataSource,
  question: question.question,
  goldenAnswers: question.goldenAnswers,
  transcript: Transcript.fromSegments(segments)
})

const own = (fields: Fields): Result.Result<Recording, string> | undefined => {
  const whole = (error: Schema.SchemaError) => `this is no trajectory of this package: ${error.message}`
  if (Array.isArray(fields["segments"])) {
    return Result.mapBoth(decodeTrajectory(fields), { onSuccess: fromTrajectory, onFailure: whole })
  }
  if (fields["_tag"] === "Failed" && fields["error"] !== undefined) {
    const cause = at(fields, "error", "_tag")
    return Result.fail(`this rollout failed${typeof cause === "string" ? ` (${cause})` : ""}: it has nothing to grade`)
  }
  const scored = fields["scored"] ?? fields
  return isFields(scored) && isFields(scored["trajectory"])
    ? Result.mapBoth(decodeScored(scored), {
      onSuccess: ({ trajectory }) => fromTrajectory(trajectory),
      onFailure: whole
    })
    : undefined
}

/**
 * The fields that {@link fromJson} reads of the records of others.
 *
 * @category constants
 * @since 0.2.0
 */
export const columns: ReadonlyArray<string> = [
  "id",
  "question",
  "golden_answers",
  "data_source",
  "prompt",
  "response",
  "output",
  "reward_model",
  "reward_spec"
]

/**
 * Reads the JSON value of a recorded trajectory, in one of these forms:
 *
 * - `{id, question, golden_answers, response, prompt?, data_source?}`;
 * - a log of an evaluation harness on FlashRAG: `{id, question, golden_answers, output: {query, final_response}}`;
 * - a trajectory of this package, as `rollout --out` and run logs write it.
 *
 * `golden_answers` is one string or many. Further fields are ignored. The failure says which field is wrong.
 *
 * @category decoding
 * @since 0.1.0
 */
export const fromJson = (value: unknown): Result.Result<Recording, string> => {
  if (!isFields(value)) {
    return Result.fail(`expected an object with "golden_answers" and "response", got ${kind(value)}`)
  }
  const trajectory = own(value)
  if (trajectory !== undefined) return trajectory
  const logged = at(value, "output", "final_response")
  const response = value["response"] ?? logged
  return Result.gen(function*() {
    const goldenAnswers = yield* GoldenAnswers.ofRecord(value)
    if (typeof response !== "string") {
      return yield* Result.fail(
        response === undefined || response === null
          ? `"response" is missing (and there is no "output.final_response")`
          : `"response" must be a string, got ${kind(response)}`
      )
    }
    const prompt = yield* promptText(value["prompt"] ?? at(value, "output", "query"))
    const transcript = parse(response, { prompt })
    return {
      id: yield* optionalString(value, "id"),
      dataSource: yield* optionalString(value, "data_source"),
      question: (yield* optionalString(value, "question")) ?? questionIn(transcript.prompt) ?? "",
      goldenAnswers,
      transcript
    }
  })
}
