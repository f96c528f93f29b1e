/** Mutants that TypeScript refuses: nobody could make that mistake unnoticed, so they are not counted. */
import { spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { mutated } from "./instrument.ts"
import type { Mutant } from "./operators.ts"
import type { Progress } from "./progress.ts"
import { prepare, root, type Source } from "./tree.ts"

/** The ids of the mutants that do not compile. One mutant of each file is checked at a time, all files together. */
export const refused = (
  mutants: ReadonlyArray<Mutant>,
  sources: ReadonlyArray<Source>,
  progress: Progress
): ReadonlySet<string> => {
  const found = new Set<string>()
  if (mutants.length === 0) return found
  const copy = prepare("plain", sources)
  const codes = new Map(sources.map(({ code, file }) => [file, code]))

  const filesWithErrors = (batch: ReadonlyArray<Mutant>): ReadonlySet<string> => {
    for (const mutant of batch) writeFileSync(join(copy, mutant.file), mutated(codes.get(mutant.file)!, mutant))
    const { stdout } = spawnSync(
      join(root, "node_modules", ".bin", "tsc"),
      [
        "-p",
        "tsconfig.build.json",
        "--noEmit",
        "--pretty",
        "false",
        "--noUnusedLocals",
        "false",
        "--noUnusedParameters",
        "false"
      ],
      { cwd: copy, encoding: "utf8", maxBuffer: 1 << 28 }
    )
    for (const { file } of batch) writeFileSync(join(copy, file), codes.get(file)!)
    return new Set([...stdout.matchAll(/^(\S+?)\(\d+,\d+\): error/gm)].map(([, file]) => file!))
  }

  const check = (batch: ReadonlyArray<Mutant>): void => {
    if (batch.length === 0) return
    const errors = filesWithErrors(batch)
    if (errors.size === 0) return
    if (batch.length === 1) {
      found.add(batch[0]!.id)
      return
    }
    const own = batch.filter(({ file }) => errors.has(file))
    if (own.length > 0) {
      for (const { id } of own) found.add(id)
      // errors in other files may have been theirs
      if ([...errors].some((file) => !own.some((mutant) => mutant.file === file))) {
        check(batch.filter((mutant) => !own.includes(mutant)))
      }
      return
    }
    check(batch.slice(0, batch.length >> 1))
    check(batch.slice(batch.length >> 1))
  }

  const byFile = [...new Set(mutants.map(({ file }) => file))].map((file) =>
    mutants.filter((mutant) => mutant.file === file)
  )
  const rounds = Math.max(...byFile.map((list) => list.length))
  progress.begin("what the compiler refuses", rounds)
  for (let round = 0; round < rounds; round++) {
    check(byFile.flatMap((list) => list[round] ?? []))
    progress.step("")
  }
  progress.end()
  return found
}
