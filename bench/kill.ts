/**
 * Whether a training run that is killed (SIGKILL) at random moments and resumed each time leaves the same log as one that
 * is left alone: `--kills N` (20), `--algorithm NAME` (grpo), `--seed TEXT` for other moments.
 */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { killedRun } from "./support/killedRun.ts"

export const run = async (args: ReadonlyArray<string>) => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      kills: { type: "string", default: "20" },
      algorithm: { type: "string", default: "grpo" },
      seed: { type: "string", default: "kill" }
    }
  })
  const kills = Number(values.kills)
  const directory = await mkdtemp(join(tmpdir(), "search-r1-kill-"))
  try {
    return {
      ...await killedRun({ directory, kills, steps: 3 * kills, seed: values.seed, algorithm: values.algorithm })
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
