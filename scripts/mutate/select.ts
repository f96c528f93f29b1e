/** Which mutants a run is about. */
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import type { Mutant } from "./operators.ts"
import { root, type Source } from "./tree.ts"

/** The parts of the project that are reported apart, with their share of a sample. */
export const areas: ReadonlyArray<readonly [area: string, share: number]> = [
  ["domain", 0.24],
  ["services", 0.03],
  ["programs", 0.2],
  ["layers", 0.33],
  ["cli", 0.2]
]

export const areaOf = (file: string): string => {
  const [, area = ""] = file.replace(/\.ts$/, "").split("/")
  return area
}

/**
 * A sample of `size` mutants, drawn area by area. The same seed draws the same mutants as long as they exist, so a change of
 * the sources changes the sample only where they changed.
 */
export const sample = (mutants: ReadonlyArray<Mutant>, size: number, seed: number): ReadonlyArray<Mutant> => {
  const rank = ({ id }: Mutant): string => createHash("sha256").update(`${seed} ${id}`).digest("hex")
  const ranked = mutants.map((mutant) => [rank(mutant), mutant] as const).sort(([a], [b]) => a < b ? -1 : 1)
  const present = areas
    .map(([area, share]) => ({ share, drawn: ranked.filter(([, { file }]) => areaOf(file) === area) }))
    .filter(({ drawn }) => drawn.length > 0)
  const shares = present.reduce((sum, { share }) => sum + share, 0)
  return present.flatMap(({ drawn, share }) =>
    drawn.slice(0, Math.round(size * share / shares)).map(([, mutant]) => mutant)
  )
}

/** Mutants in files below `folder`, or in the file of that name. */
export const below = (mutants: ReadonlyArray<Mutant>, folder: string): ReadonlyArray<Mutant> => {
  const path = folder.replace(/^\.\//, "").replace(/\/+$/, "")
  return mutants.filter(({ file }) => file === path || file.startsWith(`${path}/`))
}

/** Mutants on lines that differ from `revision`, in the working tree as it is. */
export const changedSince = (sources: ReadonlyArray<Source>, revision: string): ReadonlyArray<Mutant> => {
  const difference = execFileSync("git", ["diff", "-U0", "--no-color", "--no-ext-diff", revision, "--", "src"], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 1 << 28
  })
  const added = execFileSync("git", ["ls-files", "--others", "--exclude-standard", "src"], {
    cwd: root,
    encoding: "utf8"
  })
  const lines = new Map<string, Array<readonly [first: number, last: number]>>()
  let file = ""
  for (const line of difference.split("\n")) {
    if (line.startsWith("+++ ")) file = line.slice("+++ b/".length)
    const [, first, count = "1"] = /^@@ -\S+ \+(\d+)(?:,(\d+))? @@/.exec(line) ?? []
    if (first !== undefined) {
      const ranges = lines.get(file) ?? []
      ranges.push([Number(first), Number(first) + Number(count) - 1])
      lines.set(file, ranges)
    }
  }
  for (const file of added.split("\n")) lines.set(file, [[1, Infinity]])
  return sources.flatMap(({ code, file, mutants }) => {
    const ranges = lines.get(file) ?? []
    return mutants.filter(({ line, node }) => {
      const last = line + code.slice(node.start, node.end).split("\n").length - 1
      return ranges.some(([from, to]) => line <= to && from <= last)
    })
  })
}
