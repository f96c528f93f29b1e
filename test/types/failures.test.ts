// The compiler runs as a process on real files; nothing here is an Effect.
// @effect-diagnostics nodeBuiltinImport:off
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dirname, "../..")

const header = `
import * as Advantage from "../../../src/domain/Advantage.ts"
import * as Batch from "../../../src/domain/Batch.ts"
import type { Failed, RolloutOutcome, ScoredTrajectory } from "../../../src/domain/Outcome.ts"
declare const failed: Failed<Error>
declare const outcome: RolloutOutcome<Error>
declare const scored: ScoredTrajectory
declare const signals: Batch.TokenSignals
`

/** What is compiled, and the error that must come of it (none where the program is right). */
const snippets: Readonly<Record<string, readonly [code: string, error: RegExp | undefined]>> = {
  scoredEstimate: ["export const x = Advantage.estimate(Advantage.grpo, [scored])", undefined],
  scoredSequence: ["export const x = Batch.sequence(scored, signals)", undefined],
  failedEstimate: [
    "export const x = Advantage.estimate(Advantage.grpo, [failed])",
    /'Failed<Error>' is .* 'ScoredTrajectory'/
  ],
  outcomeEstimate: ["export const x = Advantage.estimate(Advantage.grpo, [outcome])", /is not assignable|is missing/],
  completedEstimate: [
    "export const x = outcome._tag === \"Completed\" && Advantage.estimate(Advantage.grpo, [outcome])",
    /'Completed' is .* 'ScoredTrajectory'/
  ],
  failedSequence: ["export const x = Batch.sequence(failed, signals)", /'Failed<Error>' is .* 'ScoredTrajectory'/],
  outcomeSequence: ["export const x = Batch.sequence(outcome, signals)", /is not assignable|is missing/],
  failedMiniBatch: ["export const x = Batch.miniBatch([failed])", /'Failed<Error>' is .* 'TrainingSequence'/],
  failedMiniBatches: [
    "export const x = Batch.miniBatches([failed], { unit: \"prompts\", split: { by: \"count\", count: 1 } })",
    /'Failed<Error>' is .* 'TrainingSequence'/
  ]
}

describe("a failed rollout cannot compile into training", () => {
  it(
    "tsc accepts scored trajectories and rejects failures, outcomes and unscored completions",
    { timeout: 60_000 },
    () => {
      const directory = mkdtempSync(join(root, "test/types/.snippets-"))
      try {
        for (const [name, [code]] of Object.entries(snippets)) {
          writeFileSync(
            join(directory, `${name}.ts`),
            header + code
          )
        }
        writeFileSync(
          join(directory, "tsconfig.json"),
          JSON.stringify({
            extends: "../../../tsconfig.json",
            include: ["*.ts"],
            compilerOptions: { noUnusedLocals: false, plugins: [] }
          })
        )
        const tsc = spawnSync(process.execPath, [
          join(root, "node_modules/typescript/bin/tsc"),
          "--noEmit",
          "--pretty",
          "false",
          "-p",
          join(directory, "tsconfig.json")
        ], { encoding: "utf8", cwd: directory })
        const output = `${tsc.stdout}${tsc.stderr}`
        for (const [name, [, error]] of Object.entries(snippets)) {
          const lines = output.split(/\n(?! )/).filter((line) => line.startsWith(`${name}.ts`)).join("\n")
          if (error === undefined) assert.strictEqual(lines, "", `${name} compiles`)
          else assert.match(lines, error, `${name} does not compile`)
        }
        const foreign = output.split("\n").filter((line) => /^\S+\.ts\(/.test(line) && line.includes("/"))
        assert.deepStrictEqual(foreign, [], "the project itself compiles")
      } finally {
        rmSync(directory, { recursive: true, force: true })
      }
    }
  )
})
