/** Runs the tests that reach a mutant, nearest first, until one fails. */
import { basename, dirname, join } from "node:path"
import { type Coverage, within } from "./coverage.ts"
import { placeOf } from "./instrument.ts"
import type { Mutant } from "./operators.ts"
import type { Runner } from "./pool.ts"
import type { Selection, TestOutcome } from "./protocol.ts"
import type { Result } from "./results.ts"
import { hash, type Source } from "./tree.ts"

interface Reaching extends Selection {
  readonly tests: ReadonlyArray<string>
  readonly content: string
  readonly milliseconds: number
  /** Smaller is tried earlier. */
  readonly distance: number
  /** Whether a test's own steps reach it, not only the loading of the file's modules. */
  readonly own: boolean
}

/** The tests that reach a mutant, those that are named as its file first, then the quick ones. */
export const reaching = (
  mutant: Mutant,
  { mutants }: Pick<Source, "mutants">,
  coverage: ReadonlyArray<Coverage>
): ReadonlyArray<Reaching> => {
  const place = placeOf(mutant, mutants)
  const mirrored = mutant.file.replace(/^src\//, "test/").replace(/\.ts$/, ".test.ts")
  return coverage
    .flatMap((known): ReadonlyArray<Reaching> => {
      const source = known.sources[mutant.file]
      if (source === undefined) return []
      const always = within(source.reached[""] ?? "", place)
      const tests = known.tests.filter(({ id, passed }) =>
        passed && (always || within(source.reached[id] ?? "", place))
      )
      if (tests.length === 0) return []
      const own = tests.some(({ id }) => within(source.reached[id] ?? "", place))
      return [{
        file: known.file,
        content: known.content,
        tests: tests.map(({ id }) => id),
        milliseconds: tests.reduce((sum, test) => sum + test.milliseconds, 0),
        own,
        distance: known.file === mirrored || basename(known.file) === basename(mirrored)
          ? 0
          : dirname(known.file) === dirname(mirrored)
          ? 1
          : own
          ? 2
          : 3
      }]
    })
    .sort((a, b) => a.distance - b.distance || a.milliseconds - b.milliseconds)
}

/** Tests whose failure means something: seen to pass in the copy without a mutant. */
export interface Trust {
  readonly good: Set<string>
  readonly bad: Set<string>
}

const startup = 15_000

export const judge = async (
  mutant: Mutant,
  source: Source,
  coverage: ReadonlyArray<Coverage>,
  runner: Runner,
  trust: Trust,
  patience: number
): Promise<Result> => {
  const number = source.mutants.indexOf(mutant) + 1
  const result = (status: Result["status"], tests: string, by?: string): Result => ({
    id: mutant.id,
    source: source.hash,
    status,
    tests,
    by
  })
  const run = (selection: Reaching, active: string) =>
    runner.ask(
      {
        selections: [{ file: selection.file, tests: selection.tests }],
        active,
        testTimeout: 10_000 + 5 * selection.milliseconds
      },
      startup + 5 * selection.milliseconds
    )
  const passesAlone = async (selection: Reaching, key: string, failed: (outcome: TestOutcome) => boolean) => {
    if (trust.good.has(key)) return true
    if (trust.bad.has(key)) return false
    const alone = await run(selection, "")
    const passes = alone !== undefined && alone.broken.length === 0 && !alone.outcomes.some(failed)
    ;(passes ? trust.good : trust.bad).add(key)
    return passes
  }
  const tried = reaching(mutant, source, coverage)
  if (tried.length === 0) return result("unreached", "")
  let spent = 0
  for (const selection of tried) {
    if (spent > patience) break
    spent += selection.milliseconds + 600
    const answer = await run(selection, `${mutant.file}:${number}`)
    if (answer === undefined) {
      if (
        await passesAlone(selection, `${selection.file} in time ${selection.tests.length}`, ({ passed }) => !passed)
      ) {
        return result("timeout", selection.content, selection.file)
      }
      continue
    }
    const failed = answer.outcomes.find(({ passed }) => !passed)
    if (failed !== undefined) {
      if (await passesAlone({ ...selection, tests: [failed.id] }, failed.id, ({ passed }) => !passed)) {
        return result("killed", selection.content, `${selection.file} > ${failed.name}`)
      }
    } else if (answer.broken.length > 0 && await passesAlone(selection, selection.file, ({ passed }) => !passed)) {
      return result("killed", selection.content, selection.file)
    }
  }
  return result("survived", contents(tried))
}

/** One content for all tests that reach a mutant. */
export const contents = (tried: ReadonlyArray<{ readonly file: string; readonly content: string }>): string =>
  hash(tried.map(({ content, file }) => `${file} ${content}`).sort().join("\n"))

export const reviewedFile = join("scripts", "mutate", "reviewed.json")
