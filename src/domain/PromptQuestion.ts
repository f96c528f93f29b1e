/**
 * Finds the question in a prompt that was rendered from a template.
 *
 * @since 0.2.0
 */
import * as ChatFamilies from "./ChatFamilies.ts"
import { escapeRegExp } from "./escapeRegExp.ts"
import { instructions } from "./Protocol.ts"
import { strip } from "./PythonString.ts"

const marks = [...ChatFamilies.ends, ...ChatFamilies.assistantOpens].map((mark) => escapeRegExp(mark.trimEnd()))

/** What a chat template or a completion prompt writes behind the user's text. */
const turnEnd = new RegExp([...marks, "\\nAssistant:", "<think>"].join("|"))

/** The rag template's context begins with its first passage. */
const context = " Context: Doc 1(Title: "

/** A template of somebody else's, which may have a context, too. */
const foreign = /(?:^|\s)Question:\s/

/** Cuts the text off where the pattern begins; `keep` characters of it belong to the question. */
const before = (text: string, pattern: RegExp, keep = 0): string | undefined => {
  const at = text.search(pattern)
  return at === -1 ? undefined : text.slice(0, at + keep)
}

const withoutContext = (text: string): string | undefined => {
  const at = text.indexOf(context)
  // a rendered question ends with a question mark
  return at === -1 ? before(text, /\?\s+Context:(?:\s|$)/, 1) : text.slice(0, at)
}

/**
 * The question in a prompt, with the question mark that rendering gave it, or `undefined` where no template's mark is
 * found. The word "Context:" ends a question only where the template has a context.
 *
 * @category parsing
 * @since 0.2.0
 */
export const questionIn = (prompt: string): string | undefined => {
  for (const template of ["search", "r1", "rag"] as const) {
    const head = `${instructions[template]} Question: `
    const at = prompt.lastIndexOf(head)
    if (at === -1) continue
    const rest = prompt.slice(at + head.length)
    const asked = before(rest, turnEnd) ?? rest
    return strip(template === "rag" ? withoutContext(asked) ?? before(asked, /\sContext:/) ?? asked : asked)
  }
  const mark = foreign.exec(prompt)
  if (mark === null) return undefined
  const rest = prompt.slice(mark.index + mark[0].length)
  const asked = before(rest, turnEnd) ?? rest
  return strip(withoutContext(asked) ?? asked)
}
