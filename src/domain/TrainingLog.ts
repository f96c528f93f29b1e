/**
 * Reads the samples that Search-R1's training and validation print (`qa_em.py`, one trajectory in 64):
 *
 * ```
 * --------------------------------
 * Golden answers: ['Paris' 'paris']
 * Extracted answer: Paris
 * Solution string: <|im_start|>system
 * …
 * ```
 *
 * The solution string is prompt and response; it ends where the next sample or another known print begins. Ray's
 * `(main_task pid=1)` in front of lines, coloured or not, is taken off.
 *
 * @since 0.1.0
 */
import * as JsonRecords from "./JsonRecords.ts"

// oxlint-disable-next-line no-control-regex
const rayPrefix = /^(?:\u001B\[\d+m)?\((?:main_task|WorkerDict)[^)]*\)(?:\u001B\[0m)? ?/
const rule = /^-{20,}$/
const otherPrint =
  /^(?:-{20,}$|Golden answers: |ACTIVE_TRAJ_NUM: |\[WARNING\]|\[(?:prompt|response|ground_truth|score)\]|step:\d+ - |epoch \d+, step \d+|validation generation end)/

const escapes: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", "\n": "" }

const unescape = (text: string): string =>
  text.replace(
    /\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|([^]))/gi,
    (_, hex?: string, short?: string, long?: string, char?: string) => {
      const code = hex ?? short ?? long
      if (code === undefined) return char === undefined ? "" : escapes[char] ?? char
      const point = Number.parseInt(code, 16)
      return point <= 0x10ffff ? String.fromCodePoint(point) : "\uFFFD"
    }
  )

/**
 * The strings of a Python list or of a NumPy array as `print` shows it; a bare string is itself.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parseStrings = (printed: string): ReadonlyArray<string> => {
  const text = printed.trim()
  if (!text.startsWith("[")) return [text]
  return Array.from(
    text.matchAll(/'((?:[^'\\]|\\[^])*)'|"((?:[^"\\]|\\[^])*)"/g),
    (match) => unescape(match[1] ?? match[2] ?? "")
  )
}

const golden = "Golden answers: "
const extracted = "Extracted answer: "
const solution = "Solution string: "

interface Sample {
  readonly line: number
  golden: string
  response: string
  state: "golden" | "between" | "solution"
}

const question = / Question: ([^\n]*)\n/

const toRecord = ({ golden, line, response }: Sample): JsonRecords.RawRecord => ({
  line,
  text: JSON.stringify({
    golden_answers: parseStrings(golden),
    response,
    question: question.exec(response)?.[1]?.trim()
  })
})

/** Takes lines of a log one by one. */
const makeSamples = () => {
  let sample: Sample | undefined
  const finish = (): ReadonlyArray<JsonRecords.RawRecord> => {
    const done = sample
    sample = undefined
    return done?.state === "solution" ? [toRecord(done)] : []
  }
  return {
    finish,
    take: (line: string, number: number): ReadonlyArray<JsonRecords.RawRecord> => {
      const text = line.replace(rayPrefix, "")
      if (text.startsWith(golden)) {
        const done = finish()
        sample = { line: number, golden: text.slice(golden.length), response: "", state: "golden" }
        return done
      }
      if (sample === undefined) return []
      if (sample.state === "solution") {
        if (otherPrint.test(text)) return finish()
        sample.response += `\n${text}`
      } else if (text.startsWith(solution)) {
        sample.state = "solution"
        sample.response = text.slice(solution.length)
      } else if (text.startsWith(extracted)) sample.state = "between"
      else if (rule.test(text)) sample = undefined
      else if (sample.state === "golden") sample.golden += `\n${text}`
      return []
    }
  }
}

/** Python prints a dictionary as `{'`. */
const jsonObject = /^\{(?!')/
/** A log may begin with `[WARNING]` or a date. */
const jsonArray = /^\[\s*(?:[{[\]]|$)/

/**
 * A splitter of any text with recorded trajectories: JSON lines, one JSON array, or a training log. What begins neither
 * with a brace nor with a bracket is read as a log until a line begins with a brace.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (): JsonRecords.Splitter => {
  const samples = makeSamples()
  let json: JsonRecords.Splitter | undefined
  let rest = ""
  let line = 0
  let found = 0
  let first: JsonRecords.RawRecord | undefined

  const takeLine = (text: string): ReadonlyArray<JsonRecords.RawRecord | JsonRecords.Malformed> => {
    line++
    if (first === undefined && text.trim() !== "") first = { line, text }
    const records = samples.take(text.endsWith("\r") ? text.slice(0, -1) : text, line)
    found += records.length
    return records
  }

  const push = (
    text: string,
    complete: boolean
  ): ReadonlyArray<JsonRecords.RawRecord | JsonRecords.Malformed> => {
    if (json !== undefined) return json.push(text)
    const out: Array<JsonRecords.RawRecord | JsonRecords.Malformed> = []
    rest += text
    for (;;) {
      const begin = rest.trimStart()
      // one character does not tell JSON from a log
      if (begin.length < 2 && !complete) return out
      if (found === 0 && (jsonObject.test(begin) || (first === undefined && jsonArray.test(begin)))) {
        json = JsonRecords.make(line + 1)
        // what came before the first record is one record that is none
        if (first !== undefined) out.push(first)
        out.push(...json.push(rest))
        return out
      }
      const newline = rest.indexOf("\n")
      if (newline === -1) return out
      out.push(...takeLine(rest.slice(0, newline)))
      rest = rest.slice(newline + 1)
    }
  }

  return {
    push: (text) => push(text, false),
    end: () => {
      const late = json === undefined ? push("", true) : []
      if (json !== undefined) return [...late, ...json.end()]
      const records = [...(rest === "" ? [] : takeLine(rest)), ...samples.finish()]
      found += records.length
      return found > 0 || first === undefined
        ? records
        : [{ line: first.line, flaw: "this is neither JSON nor a training log of Search-R1" }]
    }
  }
}
