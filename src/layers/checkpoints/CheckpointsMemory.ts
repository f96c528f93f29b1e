/**
 * Checkpoints in memory, for tests and for runs that leave nothing behind.
 *
 * @since 0.1.0
 */
import { Effect, Layer, Option } from "effect"
import {
  type Checkpoint,
  CheckpointCorrupt,
  type CheckpointInfo,
  CheckpointIo,
  Checkpoints
} from "../../services/Checkpoints.ts"
import * as Manifest from "./manifest.ts"
import { bestOf, type Retention, superfluous } from "./retention.ts"

const copyOf = (checkpoint: Checkpoint): Checkpoint => structuredClone(checkpoint)

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (retention?: Retention): Layer.Layer<Checkpoints> =>
  Layer.sync(Checkpoints, () => {
    const saved = new Map<number, Checkpoint>()
    const infoOf = ({ metric, step }: Checkpoint) => ({ step, metric, path: `memory:step-${step}` })
    const infos = () => [...saved.values()].sort((a, b) => a.step - b.step).map(infoOf)
    const load = ({ path, step }: CheckpointInfo) =>
      Effect.suspend(() => {
        const checkpoint = saved.get(step)
        return checkpoint === undefined
          ? Effect.fail(new CheckpointCorrupt({ path, reason: "there is no such checkpoint" }))
          : Effect.succeed(copyOf(checkpoint))
      })
    return Checkpoints.of({
      save: (checkpoint) =>
        Effect.gen(function*() {
          const { path } = infoOf(checkpoint)
          yield* Effect.mapError(
            Manifest.encode({ ...checkpoint, blobs: [] }),
            (error) => new CheckpointIo({ path, reason: `this state cannot be saved: ${error.message}` })
          )
          saved.set(checkpoint.step, copyOf(checkpoint))
          for (const { step } of superfluous(infos(), retention)) {
            if (step !== checkpoint.step) saved.delete(step)
          }
          return infoOf(checkpoint)
        }),
      list: Effect.sync(infos),
      latest: Effect.sync(() => Option.fromNullishOr(infos().at(-1))),
      best: Effect.sync(() => Option.fromNullishOr(bestOf(infos()))),
      load,
      peek: (info) => Effect.map(load(info), ({ state }) => state)
    })
  })
