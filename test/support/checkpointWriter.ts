/**
 * Saves checkpoints without end until it is killed: `node checkpointWriter.ts DIRECTORY FIRST-STEP`. Prints each step
 * when its save has returned.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect } from "effect"
import * as CheckpointsFileSystem from "../../src/layers/checkpoints/CheckpointsFileSystem.ts"
import { Checkpoints } from "../../src/services/Checkpoints.ts"

const [directory = "", first = "0"] = process.argv.slice(2)

/** The content of a step's blob: its reader can tell whether it is whole. */
export const blobOf = (step: number): Uint8Array => new Uint8Array(300_000).fill(step % 251)

const program = Effect.gen(function*() {
  const checkpoints = yield* Checkpoints
  for (let step = Number(first);; step++) {
    yield* checkpoints.save({
      step,
      metric: (step * 7) % 5,
      state: { step },
      blobs: { weights: blobOf(step), moments: blobOf(step + 1) }
    })
    process.stdout.write(`${step}\n`)
  }
}).pipe(Effect.provide(CheckpointsFileSystem.layer(directory)), Effect.provide(NodeServices.layer))

if (import.meta.main) await Effect.runPromise(program)
