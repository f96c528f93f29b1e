/**
 * Whether a training run that searches through `search-r1 serve`, killed with SIGKILL and started again in the middle,
 * leaves the same metrics as one on lunr over the same corpus: `--steps N` (10), `--kills N` (2), `--away MS` (1500).
 */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { restartedServer } from "./support/restartedServer.ts"

export const run = async (args: ReadonlyArray<string>) => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      steps: { type: "string", default: "10" },
      kills: { type: "string", default: "2" },
      away: { type: "string", default: "1500" }
    }
  })
  const [steps, kills] = [Number(values.steps), Number(values.kills)]
  const directory = await mkdtemp(join(tmpdir(), "search-r1-remote-"))
  try {
    return {
      ...await restartedServer({
        directory,
        steps,
        prompts: 32,
        groupSize: 8,
        questions: 128,
        size: 400,
        killAfter: Array.from({ length: kills }, (_, index) => Math.floor((index + 1) * steps / (kills + 1))),
        away: Number(values.away)
      })
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
