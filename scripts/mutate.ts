/**
 * Mutation run: makes small mistakes in the sources, one at a time and in copies, and sees whether a test fails. What
 * survives is a line that could be wrong without anybody noticing.
 */
import { existsSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { measure } from "./mutate/coverage.ts"
import { contents, judge, reaching, reviewedFile, type Trust } from "./mutate/judge.ts"
import type { Mutant } from "./mutate/operators.ts"
import { makeRunner } from "./mutate/pool.ts"
import { makeProgress } from "./mutate/progress.ts"
import { type Judged, rows, survivor, table } from "./mutate/report.ts"
import { readResults, remember, type Result } from "./mutate/results.ts"
import { below, changedSince, sample } from "./mutate/select.ts"
import { cacheFolder, prepare, readSources, root } from "./mutate/tree.ts"
import { refused } from "./mutate/types.ts"

const usage = `npm run mutate -- [options]

  --sample N        judge N mutants drawn from those that are asked for, area by area (default 100 without --folder or
                    --changed; all with them)
  --seed N          of the sample (default 1)
  --folder PATH     only mutants of a folder or file, as src/domain
  --changed [REV]   only mutants on lines that differ from a revision (default HEAD)
  --json            the result as JSON on standard output
  --list            say which mutants would be judged, and judge none
  --patience S      seconds of tests for one mutant (default 60)
  --workers N       test processes side by side (default 2)
  --fresh           forget what earlier runs found

Results are kept in .cache/mutate by the content of sources and tests; a run that was ended goes on where it was.
Mutants that change nothing anybody could see are listed with their reason in ${reviewedFile}.
`

interface Reviewed {
  readonly equivalent: ReadonlyArray<{ readonly id: string; readonly file: string; readonly reason: string }>
  readonly elsewhere: ReadonlyArray<{ readonly path: string; readonly needs: string }>
}

const options = () => {
  // --changed may stand without a revision
  const args = process.argv.slice(2).flatMap((arg, index, all) =>
    arg === "--changed" && (all[index + 1] === undefined || all[index + 1]!.startsWith("--")) ? [arg, "HEAD"] : [arg]
  )
  const { values } = parseArgs({
    args,
    options: {
      sample: { type: "string" },
      seed: { type: "string", default: "1" },
      folder: { type: "string" },
      changed: { type: "string" },
      json: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
      patience: { type: "string", default: "60" },
      workers: { type: "string", default: "2" },
      fresh: { type: "boolean", default: false },
      help: { type: "boolean", default: false }
    }
  })
  const number = (name: string, value: string): number => {
    if (!/^\d+$/.test(value)) throw new Error(`--${name} takes a number, not "${value}"`)
    return Number(value)
  }
  return {
    ...values,
    sample: values.sample === undefined ? undefined : number("sample", values.sample),
    seed: number("seed", values.seed),
    patience: 1000 * number("patience", values.patience),
    workers: Math.max(1, number("workers", values.workers))
  }
}

const main = async (): Promise<number> => {
  const { changed, folder, fresh, help, json, list, patience, sample: size, seed, workers } = options()
  if (help) {
    process.stdout.write(usage)
    return 0
  }
  if (folder !== undefined && !existsSync(join(root, folder))) throw new Error(`--folder: there is no ${folder}`)
  if (fresh) rmSync(cacheFolder, { recursive: true, force: true })
  const progress = makeProgress()
  const sources = readSources()
  const sourceOf = new Map(sources.map((source) => [source.file, source]))
  const all = changed === undefined ? sources.flatMap(({ mutants }) => mutants) : changedSince(sources, changed)
  const asked = folder === undefined ? all : below(all, folder)
  const wholly = folder !== undefined || changed !== undefined
  const chosen = size === undefined && wholly ? asked : sample(asked, size ?? 100, seed)
  if (chosen.length === 0) {
    process.stderr.write("no mutant in what was asked for\n")
    return 0
  }
  const judged: Array<Judged> = []
  if (list) {
    for (const mutant of chosen) {
      process.stdout.write(
        `${survivor({ mutant, result: { id: mutant.id, source: "", status: "survived", tests: "" } })}\n`
      )
    }
    return 0
  }

  const reviewed: Reviewed = JSON.parse(readFileSync(join(root, reviewedFile), "utf8"))
  const equivalent = new Set(reviewed.equivalent.map(({ id }) => id))
  const existing = new Set(sources.flatMap(({ mutants }) => mutants.map(({ id }) => id)))
  for (const { file, id } of reviewed.equivalent) {
    if (!existing.has(id)) process.stderr.write(`${reviewedFile}: ${id} (${file}) is no mutant any more; remove it\n`)
  }

  const toJudge: Array<Mutant> = []
  for (const mutant of chosen) {
    if (equivalent.has(mutant.id)) {
      judged.push({ mutant, result: { id: mutant.id, source: "", status: "equivalent", tests: "" } })
    } else toJudge.push(mutant)
  }
  const wanted = sources.filter(({ file }) => toJudge.some((mutant) => mutant.file === file))
  const coverage = await measure(sources, wanted, progress)
  const failing = coverage.flatMap(({ file, tests }) =>
    tests.filter(({ passed }) => !passed).map(({ name }) => `${file} > ${name}`)
  )
  if (failing.length > 0) {
    process.stderr.write(
      `these tests fail in the copy without a mutant and judge nothing:\n  ${failing.join("\n  ")}\n`
    )
  }

  const known = readResults()
  const contentNow = new Map(coverage.map(({ content, file }) => [file, content]))
  /** What an earlier run found, where neither the source nor the tests that decided have changed. */
  const kept = (mutant: Mutant): Result | undefined => {
    const source = sourceOf.get(mutant.file)!
    const result = known.get(`${mutant.id} ${source.hash}`)
    if (result === undefined || result.status === "refused") return result
    if (result.by !== undefined) return contentNow.get(result.by.split(" > ")[0]!) === result.tests ? result : undefined
    const tried = reaching(mutant, source, coverage)
    return (tried.length === 0 ? "" : contents(tried)) === result.tests ? result : undefined
  }
  const open = toJudge.filter((mutant) => {
    const result = kept(mutant)
    if (result !== undefined) judged.push({ mutant, result })
    return result === undefined
  })

  const settle = (mutant: Mutant, result: Result): void => {
    remember(result)
    judged.push({ mutant, result })
  }
  const uncompiled = await refused(open, sources, progress)
  for (const mutant of open) {
    if (uncompiled.has(mutant.id)) {
      settle(mutant, { id: mutant.id, source: sourceOf.get(mutant.file)!.hash, status: "refused", tests: "" })
    }
  }
  const queue = open.filter(({ id }) => !uncompiled.has(id))
  if (queue.length > 0) {
    const copy = prepare("switch", sources)
    const trust: Trust = { good: new Set(), bad: new Set() }
    const counts = { killed: 0, alive: 0 }
    progress.begin("mutants", queue.length)
    await Promise.all(Array.from({ length: workers }, async () => {
      const runner = makeRunner(copy, "bail")
      for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
        const result = await judge(mutant, sourceOf.get(mutant.file)!, coverage, runner, trust, patience)
        settle(mutant, result)
        counts[result.status === "killed" || result.status === "timeout" ? "killed" : "alive"] += 1
        progress.step(`${counts.killed} killed, ${counts.alive} alive`)
      }
      runner.end()
    }))
    progress.end()
  }

  /** Whether a mutant lies where something is needed that is not here: no test's own steps reach it. */
  const away = (mutant: Mutant): boolean =>
    reviewed.elsewhere.some(({ path }) => mutant.file.startsWith(path)) &&
    reaching(mutant, sourceOf.get(mutant.file)!, coverage).every(({ own }) => !own)
  const final = judged.map(({ mutant, result }): Judged =>
    (result.status === "unreached" || result.status === "survived") && away(mutant)
      ? { mutant, result: { ...result, status: "elsewhere" } }
      : { mutant, result }
  )
  const alive = final
    .filter(({ result }) => result.status === "survived" || result.status === "unreached")
    .sort((a, b) =>
      a.mutant.file < b.mutant.file ? -1 : a.mutant.file > b.mutant.file ? 1 : a.mutant.line - b.mutant.line
    )
  if (json) {
    const shown = ({ mutant: { file, id, line, operator, original, replacement, scope }, result }: Judged) => ({
      id,
      file,
      line,
      scope,
      operator,
      original,
      replacement,
      status: result.status
    })
    process.stdout.write(`${JSON.stringify({ seed, areas: rows(final), alive: alive.map(shown) }, null, 2)}\n`)
  } else {
    for (const one of alive) process.stdout.write(`${survivor(one)}\n`)
    process.stdout.write(`${alive.length > 0 ? "\n" : ""}${table(final)}\n`)
  }
  return 0
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130))
// what is written to a pipe is behind this when it ends
const end = (code: number): void => {
  process.stdout.write("", () => process.exit(code))
}
main().then(end, (error: unknown) => {
  process.stderr.write(`mutate: ${error instanceof Error ? error.message : String(error)}\n\n${usage}`)
  end(1)
})
