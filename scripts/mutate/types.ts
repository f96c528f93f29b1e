/** Mutants that TypeScript refuses: nobody could make that mistake unnoticed, so they are not counted. */
import { execFile } from "node:child_process"
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join, normalize } from "node:path"
import { mutated } from "./instrument.ts"
import type { Mutant } from "./operators.ts"
import type { Progress } from "./progress.ts"
import { cacheFolder, prepare, root, type Source } from "./tree.ts"

/** The files that a source imports. */
const importsOf = (code: string, file: string): ReadonlyArray<string> =>
  [...code.matchAll(/from "(\.[^"]+)"/g)].map(([, path]) => normalize(join(dirname(file), path!)))

/** Verdicts of earlier runs, by the mutant and the content of its source. */
const memory = join(cacheFolder, "types.jsonl")

const readMemory = (): Map<string, boolean> => {
  if (!existsSync(memory)) return new Map()
  return new Map(
    readFileSync(memory, "utf8").split("\n").flatMap((line) => {
      const [key, verdict] = line.split("\t")
      return verdict === "refused" || verdict === "compiles" ? [[key!, verdict === "refused"] as const] : []
    })
  )
}

const makeCompiler = (sources: ReadonlyArray<Source>) => {
  const copy = prepare("plain", sources)
  const codes = new Map(sources.map(({ code, file }) => [file, code]))
  const options = ["--pretty", "false", "--noUnusedLocals", "false", "--noUnusedParameters", "false", "--incremental"]

  /** The files with errors when all of `batch`, each in a file of its own, are there at once. */
  const filesWithErrors = async (batch: ReadonlyArray<Mutant>): Promise<ReadonlySet<string>> => {
    for (const mutant of batch) writeFileSync(join(copy, mutant.file), mutated(codes.get(mutant.file)!, mutant))
    const output = await new Promise<string>((resolve) => {
      execFile(
        join(root, "node_modules", ".bin", "tsc"),
        [
          "-p",
          "tsconfig.build.json",
          "--noEmit",
          "--tsBuildInfoFile",
          join(copy, "..", "types.tsbuildinfo"),
          ...options
        ],
        { cwd: copy, encoding: "utf8", maxBuffer: 1 << 28 },
        (_, stdout) => resolve(stdout)
      )
    })
    for (const { file } of batch) writeFileSync(join(copy, file), codes.get(file)!)
    return new Set([...output.matchAll(/^(\S+?)\(\d+,\d+\): error/gm)].map(([, file]) => file!))
  }

  /** One at least of those of `batch` that are to blame for errors in files that are none of theirs. */
  const blame = async (batch: ReadonlyArray<Mutant>, errors: ReadonlySet<string>): Promise<ReadonlyArray<Mutant>> => {
    if (batch.length === 1) return batch
    // what a file with an error imports, and what that imports, until the error is there with these alone
    for (let near: ReadonlySet<string> = errors;;) {
      const wider = new Set([...near].flatMap((file) => [file, ...importsOf(codes.get(file) ?? "", file)]))
      const exhausted = wider.size === near.size
      near = wider
      const suspects = exhausted ? batch : batch.filter(({ file }) => wider.has(file))
      if (suspects.length === 0) continue
      const again = suspects.length === batch.length ? errors : await filesWithErrors(suspects)
      if (again.size === 0 && exhausted) return []
      if (again.size === 0) continue
      if (suspects.length === 1) return suspects
      const found: Array<Mutant> = []
      for (const half of [suspects.slice(0, suspects.length >> 1), suspects.slice(suspects.length >> 1)]) {
        const errors = await filesWithErrors(half)
        if (errors.size > 0) found.push(...await blame(half, errors))
      }
      // only both halves together are wrong: neither is to blame by itself
      return found
    }
  }

  /** Those of `batch` that do not compile. */
  return async (batch: ReadonlyArray<Mutant>): Promise<ReadonlyArray<Mutant>> => {
    const refused: Array<Mutant> = []
    for (let left = batch; left.length > 0;) {
      const errors = await filesWithErrors(left)
      if (errors.size === 0) break
      const own = left.filter(({ file }) => errors.has(file))
      const found = own.length > 0 ? own : await blame(left, errors)
      refused.push(...found)
      // errors of other files may have been theirs
      if (found.length === 0 || [...errors].every((file) => own.some((mutant) => mutant.file === file))) break
      left = left.filter((mutant) => !found.includes(mutant))
    }
    return refused
  }
}

/** The ids of the mutants that do not compile. One mutant of each file is checked at a time, all files together. */
export const refused = async (
  mutants: ReadonlyArray<Mutant>,
  sources: ReadonlyArray<Source>,
  progress: Progress
): Promise<ReadonlySet<string>> => {
  const hashes = new Map(sources.map(({ file, hash }) => [file, hash]))
  const keyOf = ({ file, id }: Mutant): string => `${id} ${hashes.get(file)}`
  const known = readMemory()
  const open = mutants.filter((mutant) => !known.has(keyOf(mutant)))
  if (open.length > 0) {
    mkdirSync(cacheFolder, { recursive: true })
    const refusedOf = makeCompiler(sources)
    const byFile = [...new Set(open.map(({ file }) => file))].map((file) =>
      open.filter((mutant) => mutant.file === file)
    )
    const rounds = Math.max(...byFile.map((list) => list.length))
    progress.begin("what the compiler refuses", rounds)
    for (let round = 0; round < rounds; round++) {
      const batch = byFile.flatMap((list) => list[round] ?? [])
      const bad = await refusedOf(batch)
      for (const mutant of batch) {
        known.set(keyOf(mutant), bad.includes(mutant))
        appendFileSync(memory, `${keyOf(mutant)}\t${bad.includes(mutant) ? "refused" : "compiles"}\n`)
      }
      progress.step(`${bad.length} of ${batch.length}`)
    }
    progress.end()
  }
  return new Set(mutants.filter((mutant) => known.get(keyOf(mutant)) === true).map(({ id }) => id))
}
