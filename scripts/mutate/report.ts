/** The table of a run, and what is left alive. */
import type { Mutant } from "./operators.ts"
import type { Result, Status } from "./results.ts"
import { areaOf, areas } from "./select.ts"

export interface Judged {
  readonly mutant: Mutant
  readonly result: Result
}

const counted: ReadonlyArray<Status> = ["killed", "timeout", "survived", "unreached"]

export interface Row {
  readonly area: string
  /** Killed or timed out, of all that are counted; null where nothing is. */
  readonly score: number | null
  readonly counts: Readonly<Record<Status, number>>
}

export const rows = (judged: ReadonlyArray<Judged>): ReadonlyArray<Row> => {
  const row = (area: string, of: ReadonlyArray<Judged>): Row => {
    const counts = { killed: 0, timeout: 0, survived: 0, unreached: 0, refused: 0, equivalent: 0, elsewhere: 0 }
    for (const { result } of of) counts[result.status] += 1
    const total = counted.reduce((sum, status) => sum + counts[status], 0)
    return { area, counts, score: total === 0 ? null : (counts.killed + counts.timeout) / total }
  }
  return [
    ...areas.map(([area]) => row(area, judged.filter(({ mutant }) => areaOf(mutant.file) === area))),
    row("all", judged)
  ]
}

export const table = (judged: ReadonlyArray<Judged>): string => {
  const head = ["area", "killed", "of", "score", "timeouts", "unreached", "refused by types", "equivalent", "elsewhere"]
  const body = rows(judged).map(({ area, counts, score }) => {
    const dead = counts.killed + counts.timeout
    return [
      area,
      String(dead),
      String(dead + counts.survived + counts.unreached),
      score === null ? "–" : `${(100 * score).toFixed(1)} %`,
      String(counts.timeout),
      String(counts.unreached),
      String(counts.refused),
      String(counts.equivalent),
      String(counts.elsewhere)
    ]
  })
  const widths = head.map((title, column) => Math.max(title.length, ...body.map((row) => row[column]!.length)))
  const line = (cells: ReadonlyArray<string>): string =>
    cells.map((cell, column) => column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)).join("  ")
  return [head, ...body].map(line).join("\n")
}

const short = (text: string): string => {
  const flat = text.replace(/\s+/g, " ")
  return flat.length > 90 ? `${flat.slice(0, 87)}...` : flat
}

/** `src/domain/Gae.ts:60  discountedReturns  constant  1 -> 0  [id]`. */
export const survivor = ({ mutant, result }: Judged): string =>
  `${mutant.file}:${mutant.line}  ${mutant.scope}  ${
    result.status === "unreached" ? "(no test reaches it) " : ""
  }${mutant.operator}: ${short(mutant.original)}  ->  ${
    mutant.replacement === "" ? "(nothing)" : short(mutant.replacement)
  }  [${mutant.id}]`
