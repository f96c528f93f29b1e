/**
 * Conversations as lists of messages: who wrote what in them.
 *
 * @since 0.2.0
 */
import { Result } from "effect"
import type { Role } from "./ChatFamilies.ts"
import * as ChatPrompt from "./ChatPrompt.ts"
import * as MessageContent from "./MessageContent.ts"
import { invalidActionMessage, wrapInformation } from "./Protocol.ts"
import { strip } from "./PythonString.ts"
import { type Fields, isFields, isMissing, kind } from "./RecordFields.ts"
import { Part } from "./Transcript.ts"
import { parse } from "./TranscriptParser.ts"

interface Message {
  readonly role: Role
  readonly content: string
}

/**
 * A conversation cut where the assistant first speaks.
 *
 * @category models
 * @since 0.2.0
 */
export interface Conversation {
  readonly question: string
  readonly prompt: ReadonlyArray<ChatPrompt.PromptMessage>
  readonly answers: ReadonlyArray<Message>
}

const isEmpty = (value: unknown): boolean =>
  isMissing(value) || value === "" || (Array.isArray(value) && value.length === 0)

/** What a message holds beside its content that its writer meant to be learned, or not to be. */
const beside = (message: Fields): string | undefined => {
  if (!isEmpty(message["tool_calls"]) || !isEmpty(message["function_call"])) {
    return "calls a tool in a field of its own, which this protocol has not: write the call into \"content\", as <search> query </search>"
  }
  const thought = ["reasoning_content", "reasoning", "thinking"].find((name) => !isEmpty(message[name]))
  if (thought !== undefined) return `thinks in "${thought}": write it into "content", as <think> … </think>`
  const weight = message["weight"]
  return isMissing(weight) || weight === 1
    ? undefined
    : `has a "weight": all messages of the assistant are learned alike, give those that are not to be another role`
}

const messageOf = (value: unknown, index: number): Result.Result<Message, string> => {
  const place = `messages[${index}]`
  if (!isFields(value)) return Result.fail(`${place} must be {"role","content"}, got ${kind(value)}`)
  const role = typeof value["role"] === "string" ? MessageContent.roleOf(value["role"]) : undefined
  if (role === undefined) {
    return Result.fail(
      `${place} has the role ${JSON.stringify(value["role"] ?? null)}; expected system, user, assistant or tool`
    )
  }
  const problem = role === "assistant" ? beside(value) : undefined
  if (problem !== undefined) return Result.fail(`${place} ${problem}`)
  return Result.mapBoth(MessageContent.textOf(value["content"]), {
    onSuccess: (content) => ({ role, content }),
    onFailure: (reason) => `${place}: ${reason}`
  })
}

/**
 * Reads `messages`; a failure says which of them is wrong.
 *
 * @category decoding
 * @since 0.2.0
 */
export const messagesOf = (value: unknown): Result.Result<Conversation, string> =>
  Result.gen(function*() {
    if (!Array.isArray(value)) {
      return yield* Result.fail(`"messages" must be an array of {"role","content"}, got ${kind(value)}`)
    }
    const messages = yield* Result.all(value.map(messageOf))
    const first = messages.findIndex(({ role }) => role === "assistant")
    if (first === -1) {
      return yield* Result.fail(`"messages" holds no message of the assistant: there is nothing to learn`)
    }
    const prompt = messages.slice(0, first)
    if (prompt.some(({ role }) => role === "tool")) {
      return yield* Result.fail("a tool message cannot come before the assistant's first")
    }
    const twice = ChatPrompt.renderedTwice(prompt)
    if (twice !== undefined) return yield* Result.fail(twice)
    return {
      question: prompt.findLast(({ role }) => role === "user")?.content ?? "",
      prompt: prompt.map(({ content, role }) => ({ role, content: ChatPrompt.contentOf(content) })),
      answers: messages.slice(first)
    }
  })

/** Whether a message is an observation with its tags, and not a passage that has such tags in it. */
const isTagged = (content: string): boolean => /^\s*<information>[^]*<\/information>\s*$/.test(content)

const isMessage = (content: string): boolean => strip(content) === strip(invalidActionMessage)

const partsOf = ({ content, role }: Message): Result.Result<ReadonlyArray<Part>, string> => {
  if (role === "assistant") {
    const { parts, prompt } = parse(content)
    return Result.succeed(prompt === "" ? parts : [Part.InvalidAction({ text: prompt }), ...parts])
  }
  if (isMessage(content)) return Result.succeed([Part.InvalidAction({ text: invalidActionMessage })])
  if (role === "tool" || isTagged(content)) {
    const text = isTagged(content) ? content : wrapInformation(content)
    return Result.succeed([Part.Search({ text, query: "", closed: true })])
  }
  return Result.fail(
    `a ${role} message behind the assistant's is no search result: give results the role "tool", or <information> tags`
  )
}

/**
 * Who wrote what from the assistant's first message on. Roles say it, and within a message of the assistant's the rules of
 * `TranscriptParser`.
 *
 * @category constructors
 * @since 0.2.0
 */
export const transcriptOf = (answers: ReadonlyArray<Message>): Result.Result<ReadonlyArray<Part>, string> =>
  Result.map(Result.all(answers.map(partsOf)), (parts) => parts.flat())
