/**
 * Where a text stops being JSON, and what is wrong there: for people who mend it.
 *
 * @since 0.2.0
 */

/**
 * The first thing wrong in a text. `line` and `column` count from 1, the column in UTF-16 units as editors do.
 *
 * @category models
 * @since 0.2.0
 */
export interface Flaw {
  readonly line: number
  readonly column: number
  readonly reason: string
}

/**
 * Where a text begins within a larger one.
 *
 * @category models
 * @since 0.2.0
 */
export interface Place {
  readonly line: number
  readonly column: number
}

type Expected = "value" | "valueOrEnd" | "key" | "keyOrEnd" | "colon" | "separator"

const space = /[ \t\n\r]*/y
const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const word = /[A-Za-z_$][\w$]*/y
const shortEscapes = "\"\\/bfnrt"
const escape = /\\u[\da-fA-F]{4}/y

const literals: ReadonlySet<string> = new Set(["true", "false", "null", "NaN", "Infinity"])

/** What other languages write. */
const meant: Readonly<Record<string, string>> = {
  True: "true",
  TRUE: "true",
  False: "false",
  FALSE: "false",
  None: "null",
  NULL: "null",
  nil: "null",
  undefined: "null",
  nan: "NaN",
  inf: "Infinity"
}

const matched = (pattern: RegExp, text: string, at: number): string => {
  pattern.lastIndex = at
  return pattern.exec(text)?.[0] ?? ""
}

/** As much of a word as a message can hold. */
const excerpt = (text: string): string => text.length <= 60 ? text : `${text.slice(0, 60)}…`

const shown = (sign: string): string =>
  sign === "\"" ?
    "\"" :
    /^[\p{L}\p{N}\p{P}\p{S}]$/u.test(sign) ?
    sign :
    `U+${(sign.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`

/** What is wrong with a character where something else is expected. */
const unexpected = (text: string, at: number, expected: string): string => {
  const sign = String.fromCodePoint(text.codePointAt(at) ?? 0)
  if (sign === "'") return "text stands in double quotes"
  if (sign === "“" || sign === "”") return "text stands in straight double quotes (\")"
  if (text.startsWith("//", at) || text.startsWith("/*", at) || sign === "#") return "JSON has no comments"
  if (sign === "\u00A0" || sign === "\uFEFF") {
    return `there is an invisible character (${shown(sign)}); ${expected} is expected`
  }
  return `${expected} is expected, and here is ${shown(sign)}`
}

/** The end of the string that begins at `start`, or what is wrong in it. */
const stringEnd = (text: string, start: number): number | { readonly at: number; readonly reason: string } => {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 34) return at + 1
    if (code < 32) {
      return code === 10 || code === 13
        ? { at: start, reason: "this text is not closed with \" on its line (a line break within a text is \\n)" }
        : { at, reason: `a control character within a text is written ${code === 9 ? "\\t" : "\\u00…"}` }
    }
    if (code === 92) {
      if (shortEscapes.includes(text[at + 1] ?? " ")) {
        at += 1
        continue
      }
      const found = matched(escape, text, at)
      if (found === "" && at + 1 < text.length) {
        return { at, reason: `\\${text.slice(at + 1, at + 2)} is no escape; a backslash is written \\\\` }
      }
      at += Math.max(0, found.length - 1)
    }
  }
  return { at: start, reason: "this text is not closed with \"" }
}

/** The offset of the first flaw. There is no recursion: texts nest as deep as they like. */
const scan = (text: string): { readonly at: number; readonly reason: string } | undefined => {
  const open: Array<"{" | "["> = []
  let expected: Expected = "value"
  let at = 0
  let comma = -1
  for (;;) {
    if (text.charCodeAt(at) <= 32) at += matched(space, text, at).length
    const inside = open.at(-1)
    if (at >= text.length) {
      if (expected === "separator" && inside === undefined) return undefined
      const missing = inside === undefined
        ? "a value is missing"
        : `the text ends before its ${inside} is closed with ${inside === "{" ? "}" : "]"}`
      return { at, reason: missing }
    }
    const sign = text[at]
    switch (expected) {
      case "separator": {
        if (inside === undefined) return { at, reason: "there is something behind the end of the value" }
        if (sign === ",") {
          comma = at
          expected = inside === "{" ? "key" : "value"
        } else if (sign === (inside === "{" ? "}" : "]")) open.pop()
        else return { at, reason: unexpected(text, at, inside === "{" ? ", or }" : ", or ]") }
        at++
        break
      }
      case "colon": {
        if (sign !== ":") return { at, reason: unexpected(text, at, "a colon behind a field's name") }
        expected = "value"
        at++
        break
      }
      case "key":
      case "keyOrEnd": {
        if (sign === "}") {
          if (expected === "key") return { at: comma, reason: "there is a comma too many" }
          open.pop()
          expected = "separator"
          at++
          break
        }
        if (sign !== "\"") {
          return {
            at,
            reason: matched(word, text, at) === "" && sign !== "'"
              ? unexpected(text, at, "a field's name")
              : "the name of a field stands in double quotes"
          }
        }
        const end = stringEnd(text, at)
        if (typeof end !== "number") return end
        at = end
        expected = "colon"
        break
      }
      default: {
        if (sign === "{" || sign === "[") {
          open.push(sign)
          expected = sign === "{" ? "keyOrEnd" : "valueOrEnd"
          at++
          break
        }
        if (sign === "]" && expected === "valueOrEnd") {
          open.pop()
          expected = "separator"
          at++
          break
        }
        if ((sign === "]" || sign === "}" || sign === ",") && comma >= 0 && text.slice(comma + 1, at).trim() === "") {
          return { at: comma, reason: "there is a comma too many" }
        }
        if (sign === "\"") {
          const end = stringEnd(text, at)
          if (typeof end !== "number") return end
          at = end
          expected = "separator"
          break
        }
        const digits = matched(number, text, at)
        if (digits !== "") {
          at += digits.length
          if (/[\w.+-]/.test(text[at] ?? "")) {
            return {
              at: at - digits.length,
              reason: `this is no number that JSON knows: ${excerpt(matched(/[\w.+-]*/y, text, at - digits.length))}`
            }
          }
          expected = "separator"
          break
        }
        const name = matched(word, text, sign === "-" ? at + 1 : at)
        if (!literals.has(name) || (sign === "-" && name !== "Infinity")) {
          const instead = meant[name]
          return {
            at,
            reason: instead !== undefined
              ? `${name} is written ${instead}`
              : name === "" || sign === "-"
              ? unexpected(text, at, "a value")
              : `text stands in double quotes, and ${excerpt(name)} does not`
          }
        }
        at += name.length + (sign === "-" ? 1 : 0)
        expected = "separator"
      }
    }
  }
}

/**
 * The first flaw of a text that is no JSON (`NaN` and `Infinity` are taken for numbers), undefined where there is none.
 * `from` is where the text begins, for a part of a larger one.
 *
 * @category getters
 * @since 0.2.0
 */
export const find = (text: string, from: Place = { line: 1, column: 1 }): Flaw | undefined => {
  const begin = text.startsWith("\uFEFF") ? 1 : 0
  const found = scan(begin === 0 ? text : text.slice(1))
  if (found === undefined) return undefined
  let lines = 0
  let start = begin
  for (let at = begin; at < begin + found.at; at++) {
    if (text.charCodeAt(at) !== 10) continue
    lines += 1
    start = at + 1
  }
  return {
    line: from.line + lines,
    column: (lines === 0 ? from.column : 1) + begin + found.at - start,
    reason: found.reason
  }
}

/**
 * {@link find} in words: `line 3, column 5: text stands in double quotes`.
 *
 * @category formatting
 * @since 0.2.0
 */
export const describe = (text: string, from?: Place): string => {
  const flaw = find(text, from)
  return flaw === undefined
    ? "NaN and Infinity are no numbers of JSON"
    : `line ${flaw.line}, column ${flaw.column}: ${flaw.reason}`
}
