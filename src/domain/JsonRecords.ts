/**
 * Splits text into JSON records while it arrives: one value a line, or the elements of one array.
 *
 * @since 0.1.0
 */
import { Result } from "effect"
import * as Json from "./Json.ts"

/**
 * The text of one record. `line` is the 1-based line on which it begins, `column` where that is not the first.
 *
 * @category models
 * @since 0.1.0
 */
export interface RawRecord {
  readonly line: number
  readonly column?: number
  readonly text: string
  /** Why the record may not be what was meant. */
  readonly caution?: string
}

/**
 * What is wrong with the text around the records.
 *
 * @category models
 * @since 0.1.0
 */
export interface Malformed {
  readonly line: number
  readonly flaw: string
  /** Whether the text lost what was there: nobody can mend it. */
  readonly lost?: true
}

/**
 * A splitter in use. Memory is bounded by the longest record.
 *
 * @category models
 * @since 0.1.0
 */
export interface Splitter {
  /** The records that `text` completes. */
  readonly push: (text: string) => ReadonlyArray<RawRecord | Malformed>
  /** What remains when the text ends. */
  readonly end: () => ReadonlyArray<RawRecord | Malformed>
}

const NEWLINE = 10
const QUOTE = 34
const COMMA = 44
const OPEN_BRACKET = 91
const BACKSLASH = 92
const CLOSE_BRACKET = 93
const OPEN_BRACE = 123
const CLOSE_BRACE = 125

const isBlank = (code: number): boolean => code === 32 || (code >= 9 && code <= 13) || code === 0xfeff

const makeLines = (first: number, firstColumn: number): Splitter => {
  let line = first
  let column = firstColumn
  let rest = ""
  const takeLine = (text: string, out: Array<RawRecord>) => {
    if (text.trim() !== "") out.push({ line, ...columnOf(column), text })
    line++
    column = 1
  }
  const take = (text: string, out: Array<RawRecord>) => {
    const cr = text.indexOf("\r")
    if (cr === -1 || cr === text.length - 1) takeLine(text, out)
    // JSON has no bare carriage return, so one between records ends a line, as Python reads it
    else for (const part of text.replace(/\r$/, "").split("\r")) takeLine(part, out)
  }
  return {
    push: (text) => {
      const out: Array<RawRecord> = []
      let start = 0
      let newline = text.indexOf("\n")
      while (newline !== -1) {
        take(rest + text.slice(start, newline), out)
        rest = ""
        start = newline + 1
        newline = text.indexOf("\n", start)
      }
      rest += text.slice(start)
      return out
    },
    end: () => {
      const out: Array<RawRecord> = []
      if (rest !== "") take(rest, out)
      rest = ""
      return out
    }
  }
}

const columnOf = (column: number) => column === 1 ? {} : { column }

/** Elements of an array whose opening bracket has been read. */
const makeElements = (first: number, firstColumn: number): Splitter => {
  let line = first
  /** Column of the next piece's first character. */
  let column = firstColumn
  let state: "between" | "element" | "closed" | "failed" = "between"
  let depth = 0
  let inString = false
  let escaped = false
  let elementLine = first
  let elementColumn = firstColumn
  let rest = ""
  return {
    push: (text) => {
      const out: Array<RawRecord | Malformed> = []
      let start = 0
      /** Where the line of the character at hand begins, in this piece or before it. */
      let lineStart = 1 - column
      const finish = (at: number) => {
        out.push({ line: elementLine, ...columnOf(elementColumn), text: rest + text.slice(start, at) })
        rest = ""
        state = "between"
      }
      for (let i = 0; i < text.length; i++) {
        const code = text.charCodeAt(i)
        if (code === NEWLINE) {
          line++
          lineStart = i + 1
        }
        if (state === "element") {
          if (inString) {
            if (escaped) escaped = false
            else if (code === BACKSLASH) escaped = true
            else if (code === QUOTE) inString = false
          } else if (code === QUOTE) inString = true
          else if (code === OPEN_BRACE || code === OPEN_BRACKET) depth++
          else if (depth > 0 && (code === CLOSE_BRACE || code === CLOSE_BRACKET)) {
            depth--
            if (depth === 0) finish(i + 1)
          } else if (depth === 0 && (code === COMMA || code === CLOSE_BRACKET)) {
            finish(i)
            if (code === CLOSE_BRACKET) state = "closed"
          }
        } else if (state === "between") {
          if (code === CLOSE_BRACKET) state = "closed"
          else if (code !== COMMA && !isBlank(code)) {
            state = "element"
            start = i
            elementLine = line
            elementColumn = i - lineStart + 1
            inString = code === QUOTE
            escaped = false
            depth = code === OPEN_BRACE || code === OPEN_BRACKET ? 1 : 0
          }
        } else if (state === "closed" && !isBlank(code)) {
          state = "failed"
          out.push({ line, flaw: "there is text behind the end of the array" })
        }
      }
      if (state === "element") rest += text.slice(start)
      column = text.length - lineStart + 1
      return out
    },
    end: () =>
      state === "element" || state === "between"
        ? [{ line, flaw: "the array does not end: the file is cut off, or a string or bracket in it is not closed" }]
        : []
  }
}

/**
 * A splitter of text that is either JSON lines or one JSON array; the first character that is no white space decides.
 * Empty lines are skipped. Lines count from `firstLine`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (firstLine = 1): Splitter => {
  let inner: Splitter | undefined
  let line = firstLine
  let column = 1
  return {
    push: (text) => {
      if (inner !== undefined) return inner.push(text)
      let at = 0
      while (at < text.length && isBlank(text.charCodeAt(at))) {
        const code = text.charCodeAt(at)
        if (code === NEWLINE) line++
        column = code === NEWLINE ? 1 : code === 0xfeff ? column : column + 1
        at++
      }
      if (at === text.length) return []
      const array = text.charCodeAt(at) === OPEN_BRACKET
      inner = array ? makeElements(line, column + 1) : makeLines(line, column)
      return inner.push(text.slice(array ? at + 1 : at))
    },
    end: () => inner?.end() ?? []
  }
}

const excerpt = (text: string): string => {
  const line = text.trim()
  return line.length > 60 ? `${line.slice(0, 60)}…` : line
}

/**
 * The JSON value of a record, integers of 64 bits unrounded (see `Json.parse`); the failure says why there is none.
 *
 * @category decoding
 * @since 0.1.0
 */
export const value = (record: RawRecord | Malformed): Result.Result<unknown, string> =>
  "flaw" in record
    ? Result.fail(record.flaw)
    : Result.mapError(
      Json.parse(record.text, { line: record.line, column: record.column ?? 1 }),
      (reason) => `no JSON (${reason}); a file holds one JSON object a line or one JSON array: ${excerpt(record.text)}`
    )
