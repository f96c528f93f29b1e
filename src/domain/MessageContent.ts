/**
 * Messages of conversations in the words of others.
 *
 * @since 0.2.0
 */
import { Result } from "effect"
import type { Role } from "./ChatFamilies.ts"
import { isFields, kind } from "./RecordFields.ts"

const roles: ReadonlyMap<string, Role> = new Map<string, Role>([
  ["system", "system"],
  ["developer", "system"],
  ["user", "user"],
  ["human", "user"],
  ["assistant", "assistant"],
  ["model", "assistant"],
  ["gpt", "assistant"],
  ["tool", "tool"],
  ["function", "tool"],
  ["ipython", "tool"],
  ["observation", "tool"],
  ["environment", "tool"]
])

/**
 * The role that a name stands for, or `undefined`.
 *
 * @category getters
 * @since 0.2.0
 */
export const roleOf = (name: string): Role | undefined => roles.get(name.toLowerCase())

/**
 * The text of a message's content: a string, or a list of parts `{"type":"text","text"}`, whose texts follow each other as
 * chat templates write them. Parts that are no text are refused.
 *
 * @category decoding
 * @since 0.2.0
 */
export const textOf = (content: unknown): Result.Result<string, string> => {
  if (typeof content === "string") return Result.succeed(content)
  const expected = `"content" must be a string or a list of {"type":"text","text"}`
  if (!Array.isArray(content)) return Result.fail(`${expected}, got ${kind(content)}`)
  const texts: Array<string> = []
  for (const part of content) {
    const text: unknown = typeof part === "string" ? part : isFields(part) ? part["text"] : undefined
    if (typeof text !== "string") {
      const type = isFields(part) && typeof part["type"] === "string"
        ? `a part of the type ${part["type"]}`
        : kind(part)
      return Result.fail(`${expected}, got ${type} in it`)
    }
    texts.push(text)
  }
  return Result.succeed(texts.join(""))
}
