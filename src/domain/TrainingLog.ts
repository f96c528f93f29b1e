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
 * The solution string is prompt and response (in newer versions of verl the response alone); it ends where the next
 * sample or another known print of the trainer begins. What Ray puts around lines is taken off (`RayLog`).
 *
 * @since 0.1.0
 */
import * as JsonRecords from "./JsonRecords.ts"
import * as LogSamples from "./LogSamples.ts"

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
  const samples = LogSamples.make()
  let json: JsonRecords.Splitter | undefined
  let rest = ""
  let line = 0
  let found = 0
  let first: JsonRecords.RawRecord | undefined

  const takeLine = (text: string): ReadonlyArray<JsonRecords.RawRecord | JsonRecords.Malformed> => {
    line++
    if (first === undefined && text.trim() !== "") first = { line, text }
    const records = samples.take(text, line)
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
      if (
        found === 0 && !samples.begun() && (jsonObject.test(begin) || (first === undefined && jsonArray.test(begin)))
      ) {
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
