/**
 * Which tests reach which places of the sources: one run of each test file in the counting copy, remembered until the test,
 * what it imports or a source that it reaches changes.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join, normalize, relative } from "node:path"
import { makeRunner } from "./pool.ts"
import type { Progress } from "./progress.ts"
import { cacheFolder, hash, prepare, root, type Source } from "./tree.ts"

interface ReachedTest {
  readonly id: string
  readonly name: string
  readonly milliseconds: number
  readonly passed: boolean
}

/** What is known of one test file. */
export interface Coverage {
  readonly file: string
  /** Of the test file and what it imports from `test/`. */
  readonly content: string
  readonly tests: ReadonlyArray<ReachedTest>
  /** By source: its content, and by label (a test's id, or "" for what belongs to all) the numbers of its mutants. */
  readonly sources: Readonly<
    Record<string, { readonly hash: string; readonly reached: Readonly<Record<string, string>> }>
  >
}

/** `1-4,7` for 1, 2, 3, 4 and 7. */
const toRanges = (numbers: ReadonlyArray<number>): string => {
  const sorted = [...new Set(numbers)].sort((a, b) => a - b)
  const ranges: Array<string> = []
  for (let at = 0; at < sorted.length; at++) {
    const first = sorted[at]!
    while (sorted[at + 1] === sorted[at]! + 1) at++
    ranges.push(first === sorted[at] ? `${first}` : `${first}-${sorted[at]}`)
  }
  return ranges.join(",")
}

/** Whether a number is within ranges as `1-4,7`. */
export const within = (ranges: string, number: number): boolean =>
  ranges.split(",").some((range) => {
    const [first = Number.NaN, last = first] = range.split("-").map(Number)
    return first <= number && number <= last
  })

const folder = join(cacheFolder, "coverage")
const pathOf = (file: string): string => join(folder, `${hash(file)}.json`)

/** The test files of the project. */
export const testFiles = (): ReadonlyArray<string> =>
  readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".test.ts"))
    .map((file) => join("test", file))
    .sort()

/** The content of a test file with all that it imports from `test/`. */
export const contentOf = (() => {
  const known = new Map<string, string>()
  const imports = (file: string): ReadonlyArray<string> =>
    [...readFileSync(join(root, file), "utf8").matchAll(/from "(\.[^"]+\.ts)"/g)]
      .map(([, path]) => normalize(join(dirname(file), path!)))
      .filter((path) => path.startsWith("test/") && existsSync(join(root, path)))
  return (file: string): string => {
    const kept = known.get(file)
    if (kept !== undefined) return kept
    const all = new Set([file])
    for (const one of all) for (const next of imports(one)) all.add(next)
    const content = hash([...all].sort().map((one) => `${one} ${hash(readFileSync(join(root, one)))}`).join("\n"))
    known.set(file, content)
    return content
  }
})()

const read = (file: string): Coverage | undefined => {
  const path = pathOf(file)
  if (!existsSync(path)) return undefined
  const kept: Coverage = JSON.parse(readFileSync(path, "utf8"))
  return kept
}

/** A test's own steps reached the source, not only the loading of its modules. */
const touches = (coverage: Coverage, source: Source): boolean => {
  const known = coverage.sources[source.file]
  return known !== undefined && known.hash !== source.hash &&
    Object.values(known.reached).some((ranges) => ranges !== "")
}

/** The coverage of every test file, as far as it is needed to judge mutants of `wanted`. */
export const measure = async (
  sources: ReadonlyArray<Source>,
  wanted: ReadonlyArray<Source>,
  progress: Progress
): Promise<ReadonlyArray<Coverage>> => {
  const files = testFiles()
  const stale = files.filter((file) => {
    const kept = read(file)
    return kept === undefined || kept.content !== contentOf(file) || wanted.some((source) => touches(kept, source))
  })
  if (stale.length > 0) {
    const copy = prepare("count", sources)
    mkdirSync(folder, { recursive: true })
    const hashes = new Map(sources.map((source) => [source.file, source.hash]))
    progress.begin("which tests reach what", stale.length)
    const queue = [...stale]
    await Promise.all([0, 1].map(async (index) => {
      const hits = join(dirname(copy), `hits-${process.pid}-${index}`)
      const runner = makeRunner(copy, "count", { MUTATE_HITS: hits })
      for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
        rmSync(hits, { recursive: true, force: true })
        mkdirSync(hits, { recursive: true })
        const answer = await runner.ask({ selections: [{ file }], active: "", testTimeout: 120_000 }, 600_000)
        const all: Record<string, Record<string, Array<number>>> = {}
        for (const note of readdirSync(hits)) {
          for (const line of readFileSync(join(hits, note), "utf8").split("\n")) {
            const [label, source, place] = line.split("\t")
            if (place === undefined) continue
            const key = label!.startsWith("file:") ? "" : label!
            ;((all[source!] ??= {})[key] ??= []).push(Number(place))
          }
        }
        const coverage: Coverage = {
          file,
          content: contentOf(file),
          tests: (answer?.outcomes ?? []).map(({ id, milliseconds, name, passed }) => ({
            id,
            milliseconds,
            name,
            passed
          })),
          sources: Object.fromEntries(
            Object.entries(all).map(([source, reached]) => [source, {
              hash: hashes.get(source) ?? "",
              reached: Object.fromEntries(Object.entries(reached).map(([label, places]) => [label, toRanges(places)]))
            }])
          )
        }
        writeFileSync(pathOf(file), JSON.stringify(coverage))
        progress.step(relative("test", file))
      }
      runner.end()
      rmSync(hits, { recursive: true, force: true })
    }))
    progress.end()
  }
  return files.flatMap((file) => read(file) ?? [])
}
