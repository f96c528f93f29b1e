/** What is known of mutants from earlier runs, a line each in a file that only grows: a run that was ended goes on there. */
import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { cacheFolder, hash } from "./tree.ts"

export type Status =
  /** A test failed. */
  | "killed"
  /** A test did not end. */
  | "timeout"
  /** All tests that reach it pass. */
  | "survived"
  /** No test reaches it. */
  | "unreached"
  /** It does not compile. */
  | "refused"
  /** Listed as changing nothing that anybody could see. */
  | "equivalent"
  /** Only reached where something is installed that is not here. */
  | "elsewhere"

export interface Result {
  readonly id: string
  /** The content of the source. */
  readonly source: string
  readonly status: Status
  /** The content of the tests that decided: the one that failed, or all that passed. */
  readonly tests: string
  /** The test that failed. */
  readonly by?: string | undefined
}

const path = join(cacheFolder, "results.jsonl")

/** The content of what decides that a mutant lives: a mend of that may find what it missed. */
const tool = hash(
  ["coverage.ts", "hits.ts", "instrument.ts", "judge.ts", "runner.ts"]
    .map((file) => readFileSync(new URL(file, import.meta.url), "utf8"))
    .join("\n")
)

const lives = new Set<Status>(["survived", "unreached"])

export const readResults = (): ReadonlyMap<string, Result> => {
  const found = new Map<string, Result>()
  if (!existsSync(path)) return found
  for (const line of readFileSync(path, "utf8").split("\n")) {
    try {
      const result: Result & { readonly tool?: string } = JSON.parse(line)
      if (lives.has(result.status) && result.tool !== tool) continue
      found.set(`${result.id} ${result.source}`, result)
    } catch {
      // the last line of a run that was killed
    }
  }
  return found
}

export const remember = (result: Result): void => {
  mkdirSync(dirname(path), { recursive: true })
  appendFileSync(path, `${JSON.stringify({ ...result, tool })}\n`)
}
