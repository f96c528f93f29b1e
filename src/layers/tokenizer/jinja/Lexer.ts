/**
 * Tokens of a template, as Jinja 3.1 cuts it with `trim_blocks` and `lstrip_blocks`, which transformers sets.
 *
 * @since 0.2.0
 */
import { whitespaceClass } from "../../../domain/PythonString.ts"
import { fail } from "./JinjaError.ts"

/**
 * `operator` has its sign as text. Of `string` the text is its value.
 *
 * @category models
 * @since 0.2.0
 */
export type Token =
  & {
    readonly line: number
  }
  & (
    | {
      readonly type:
        | "data"
        | "variableBegin"
        | "variableEnd"
        | "blockBegin"
        | "blockEnd"
        | "name"
        | "string"
        | "operator"
        | "end"
      readonly text: string
    }
    | { readonly type: "integer"; readonly text: string; readonly value: bigint }
    | { readonly type: "float"; readonly text: string; readonly value: number }
  )

const space = `[${whitespaceClass}]`
const spaces = new RegExp(`${space}+`, "y")
const trailingSpaces = new RegExp(`${space}+$`)
const allSpaces = new RegExp(`^${space}+$`)

const opening = new RegExp(
  `\\{%(?<rawSign>[-+]?)${space}*raw${space}*(?:-%\\}${space}*|%\\})|\\{(?<kind>[#%{])(?<sign>[-+]?)`,
  "g"
)
const commentEnd = new RegExp(`\\+#\\}|-#\\}${space}*|#\\}\\n?`, "g")
const rawEnd = new RegExp(
  `\\{%(?<sign>[-+]?)${space}*endraw${space}*(?:\\+%\\}|-%\\}${space}*|%\\}\\n?)`,
  "g"
)
const blockEnd = new RegExp(`\\+%\\}|-%\\}${space}*|%\\}\\n?`, "y")
const variableEnd = new RegExp(`-\\}\\}${space}*|\\}\\}`, "y")
const float = /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy
const integer = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy
const name = /[\p{XID_Start}_][\p{XID_Continue}]*/uy
const string = /'([^'\\]*(?:\\[^][^'\\]*)*)'|"([^"\\]*(?:\\[^][^"\\]*)*)"/y
const operator = /\/\/|\*\*|==|!=|>=|<=|[+\-/*%~[\](){}><=.:|,;]/y

const closers: ReadonlyMap<string, string> = new Map([["(", ")"], ["[", "]"], ["{", "}"]])

const escapes: Readonly<Record<string, string>> = {
  "\n": "",
  "\\": "\\",
  "'": "'",
  "\"": "\"",
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v"
}

/** Python's escapes in string literals. */
const unescape = (text: string, line: number): string =>
  text.replaceAll(
    /\\(?:([0-7]{1,3})|x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([^]))/g,
    (whole, octal?: string, byte?: string, short?: string, long?: string, sign?: string) => {
      if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8))
      if (sign === undefined) {
        const point = Number.parseInt(byte ?? short ?? long ?? "", 16)
        return point <= 0x10ffff ? String.fromCodePoint(point) : fail(`line ${line}: ${whole} is no character`)
      }
      if ("xuUN".includes(sign)) return fail(`line ${line}: the escape ${whole} is cut off or not supported`)
      return escapes[sign] ?? whole
    }
  )

const count = (text: string): number => text.split("\n").length - 1

/**
 * The tokens of a template; what is wrong with it is thrown.
 *
 * @category conversions
 * @since 0.2.0
 */
export const tokenize = (template: string): ReadonlyArray<Token> => {
  const source = template.replaceAll(/\r\n?/g, "\n").replace(/\n$/, "")
  const tokens: Array<Token> = []
  let at = 0
  let line = 1
  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at
    return pattern.exec(source)
  }
  const advance = (to: number) => {
    line += count(source.slice(at, to))
    at = to
  }
  const push = (type: Exclude<Token["type"], "integer" | "float">, text: string) => {
    tokens.push({ type, text, line })
  }

  /** Text in front of a tag: white space goes where the tag's sign says so, or where nothing else is on its line. */
  const data = (text: string, sign: string, isVariable: boolean) => {
    let kept = text
    if (sign === "-") kept = text.replace(trailingSpaces, "")
    else if (sign !== "+" && !isVariable) {
      const lineStart = text.lastIndexOf("\n") + 1
      const startsLine = lineStart > 0 || at === 0 || source[at - 1] === "\n"
      if (startsLine && allSpaces.test(text.slice(lineStart))) kept = text.slice(0, lineStart)
    }
    if (kept !== "") push("data", kept)
  }

  const comment = () => {
    const end = match(commentEnd) ?? fail(`line ${line}: a comment is not closed with #}`)
    advance(end.index + end[0].length)
  }

  const raw = () => {
    const end = match(rawEnd) ?? fail(`line ${line}: {% raw %} is not closed with {% endraw %}`)
    data(source.slice(at, end.index), end.groups?.["sign"] ?? "", false)
    advance(end.index + end[0].length)
  }

  /** Reads what stands between the marks of a tag. */
  const tag = (end: RegExp, type: "blockEnd" | "variableEnd") => {
    const open: Array<string> = []
    const take = (pattern: RegExp): string | undefined => match(pattern)?.[0]
    while (at < source.length) {
      const closing = open.length === 0 ? take(end) : undefined
      if (closing !== undefined) {
        push(type, closing)
        advance(at + closing.length)
        return
      }
      const blank = take(spaces)
      const number = take(float)
      const whole = number === undefined ? take(integer) : undefined
      const word = take(name)
      const quoted = match(string)
      const sign = take(operator)
      if (blank !== undefined) advance(at + blank.length)
      else if (number !== undefined) {
        tokens.push({ type: "float", text: number, value: Number(number.replaceAll("_", "")), line })
        advance(at + number.length)
      } else if (whole !== undefined) {
        tokens.push({ type: "integer", text: whole, value: BigInt(whole.replaceAll("_", "")), line })
        advance(at + whole.length)
      } else if (word !== undefined) {
        push("name", word)
        advance(at + word.length)
      } else if (quoted !== null) {
        push("string", unescape(quoted[1] ?? quoted[2] ?? "", line))
        advance(at + quoted[0].length)
      } else if (sign !== undefined) {
        const closer = closers.get(sign)
        if (closer !== undefined) open.push(closer)
        else if (")]}".includes(sign)) {
          const expected = open.pop()
          if (expected !== sign) {
            fail(`line ${line}: unexpected "${sign}"${expected === undefined ? "" : `, expected "${expected}"`}`)
          }
        }
        push("operator", sign)
        advance(at + sign.length)
      } else fail(`line ${line}: unexpected character ${JSON.stringify(source[at])}`)
    }
    fail(`line ${line}: a tag is not closed with ${type === "blockEnd" ? "%}" : "}}"}`)
  }

  while (at < source.length) {
    const found = match(opening)
    if (found === null) {
      push("data", source.slice(at))
      break
    }
    const kind = found.groups?.["kind"]
    data(source.slice(at, found.index), found.groups?.["rawSign"] ?? found.groups?.["sign"] ?? "", kind === "{")
    advance(found.index)
    if (kind === "{" || kind === "%") push(kind === "{" ? "variableBegin" : "blockBegin", found[0])
    advance(found.index + found[0].length)
    if (kind === "{") tag(variableEnd, "variableEnd")
    else if (kind === "%") tag(blockEnd, "blockEnd")
    else if (kind === "#") comment()
    else raw()
  }
  push("end", "")
  return tokens
}
