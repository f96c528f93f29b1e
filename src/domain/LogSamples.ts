/**
 * Collects the samples in a training log line by line, see `TrainingLog`.
 *
 * A sample begins with a whole header: a rule of dashes (which may be missing), golden answers, the extracted answer, the
 * solution. Lines that only begin like one belong to the text that they stand in. Several processes may print at once;
 * each has samples of its own.
 *
 * @since 0.2.0
 */
import { Result } from "effect"
import * as GoldenAnswers from "./GoldenAnswers.ts"
import type { Malformed, RawRecord } from "./JsonRecords.ts"
import * as PythonLiteral from "./PythonLiteral.ts"
import * as RayLog from "./RayLog.ts"

const golden = "Golden answers: "
const extracted = /^Extracted answer(?: is not None)?: /
const solution = "Solution string: "
const rule = /^-{20,}\s*$/

/** What nothing but the trainer prints. */
const trainerPrint =
  /^(?:ACTIVE_TRAJ_NUM: |\[WARNING\] OBSERVATION TOO LONG|step:\d+ - |epoch \d+, step \d+|validation generation end|Training Progress:)/
/** What the trainer prints, and a passage might hold. */
const likelyPrint =
  /^(?:\[WARNING\]|\[(?:prompt|response|ground_truth|score)\]|test_gen_batch meta info|[("']*(?:Initial|Final) validation metrics|local_global_step_folder|(?:format_score|extra_info):)/

const answered = /<\/answer>(?:\s|<\|[^|<>]*\|>|<\/s>)*$/
const behindInformation = /<\/information>|<\/?(?:think|search|answer)>/

/** Longer headers are none: NumPy prints at most a thousand strings, each on a line of its own if it is long. */
const maxHeaderLines = 2000

interface Sample {
  readonly line: number
  readonly golden: string
  response: string
  folded: boolean
}

interface Header {
  line: number
  stage: "rule" | "golden" | "extracted"
  golden: string
  folded: boolean
  readonly lines: Array<string>
}

interface Source {
  sample: Sample | undefined
  header: Header | undefined
}

/** Whether the text ends inside an observation: behind an `<information>` that nothing of the policy follows. */
const inObservation = (text: string): boolean => {
  const open = text.lastIndexOf("<information>")
  return open !== -1 && !behindInformation.test(text.slice(open + 1))
}

/** Whether an array that is printed on several lines ends here. */
const isWhole = (printed: string): boolean => {
  const text = printed.trim()
  if (!/^(?:[[({]|array\()/.test(text)) return true
  if (!/[\])}]$/.test(text)) return false
  const parsed = PythonLiteral.parse(text)
  return Result.isSuccess(parsed) || parsed.failure === "elided"
}

const caution =
  "Ray folded lines that several processes printed, so samples may lack some or hold them in another place: RAY_DEDUP_LOGS=0 keeps them"

const toRecord = ({ folded, golden, line, response }: Sample): RawRecord | Malformed =>
  Result.match(GoldenAnswers.fromPrinted(golden), {
    onFailure: (flaw) => ({ line, flaw: `the golden answers ${flaw}`, lost: true }),
    onSuccess: (golden_answers) => ({
      line,
      text: JSON.stringify({ golden_answers, response }),
      ...(folded && { caution })
    })
  })

/**
 * A collector in use.
 *
 * @category models
 * @since 0.2.0
 */
export interface Collector {
  /** The samples that a line with this number completes. */
  readonly take: (line: string, number: number) => ReadonlyArray<RawRecord | Malformed>
  /** The samples that are complete when the log ends. */
  readonly finish: () => ReadonlyArray<RawRecord | Malformed>
  /** Whether a sample or the golden answers of one have begun. */
  readonly begun: () => boolean
}

/**
 * @category constructors
 * @since 0.2.0
 */
export const make = (): Collector => {
  const sources = new Map<string, Source>()
  let out: Array<RawRecord | Malformed> = []

  const finish = (source: Source) => {
    if (source.sample !== undefined) out.push(toRecord(source.sample))
    source.sample = undefined
  }

  /** Text that belongs to no header. */
  const append = (source: Source, text: string, folded: boolean) => {
    const { sample } = source
    if (sample === undefined) return
    if (trainerPrint.test(text) || (likelyPrint.test(text) && !inObservation(sample.response))) return finish(source)
    sample.response += `\n${text}`
    sample.folded ||= folded
  }

  /** What looked like a header was none. */
  const abandon = (source: Source, next: string) => {
    const { header, sample } = source
    source.header = undefined
    if (header === undefined || sample === undefined) return
    const ends = header.stage === "rule" &&
      (trainerPrint.test(next) || (answered.test(sample.response) && !inObservation(sample.response)))
    if (ends) finish(source)
    else for (const line of header.lines) append(source, line, header.folded)
  }

  const begin = (source: Source, text: string, number: number, folded: boolean): boolean => {
    const isRule = rule.test(text)
    if (!isRule && !text.startsWith(golden)) return false
    source.header = {
      line: number,
      stage: isRule ? "rule" : "golden",
      golden: isRule ? "" : text.slice(golden.length),
      folded,
      lines: [text]
    }
    return true
  }

  /** Whether the line goes on with the header, which ends with the solution's first line. */
  const advance = (source: Source, header: Header, text: string, number: number): boolean => {
    if (header.lines.length >= maxHeaderLines) return false
    switch (header.stage) {
      case "rule":
        if (!text.startsWith(golden)) return false
        header.stage = "golden"
        header.line = number
        header.golden = text.slice(golden.length)
        break
      case "golden":
        if (extracted.test(text)) header.stage = "extracted"
        else if (isWhole(header.golden)) return false
        else header.golden += `\n${text}`
        break
      case "extracted":
        if (text.startsWith(solution)) {
          finish(source)
          source.sample = {
            line: header.line,
            golden: header.golden,
            response: text.slice(solution.length),
            folded: header.folded
          }
          source.header = undefined
          return true
        }
        // an answer may have several lines
        if (rule.test(text) || text.startsWith(golden)) return false
    }
    header.lines.push(text)
    return true
  }

  const takeText = (source: Source, text: string, number: number, folded: boolean) => {
    const { header } = source
    if (header !== undefined) {
      if (advance(source, header, text, number)) {
        header.folded ||= folded
        return
      }
      abandon(source, text)
    }
    if (!begin(source, text, number, folded)) append(source, text, folded)
  }

  const taken = () => {
    const records = out
    out = []
    return records
  }

  return {
    take: (line, number) => {
      const { folded, source: name, text } = RayLog.parse(line)
      const source = sources.get(name) ?? { sample: undefined, header: undefined }
      takeText(source, text, number, folded)
      if (source.sample === undefined && source.header === undefined) sources.delete(name)
      else sources.set(name, source)
      return taken()
    },
    finish: () => {
      for (const source of sources.values()) {
        // a header that the log cuts off is none of the sample's, but for one in a passage
        if (source.sample !== undefined && inObservation(source.sample.response)) {
          for (const line of source.header?.lines ?? []) append(source, line, false)
        }
        finish(source)
      }
      sources.clear()
      return taken().sort((a, b) => a.line - b.line)
    },
    begun: () =>
      Array.from(sources.values()).some(({ header, sample }) =>
        sample !== undefined || (header !== undefined && header.stage !== "rule")
      )
  }
}
