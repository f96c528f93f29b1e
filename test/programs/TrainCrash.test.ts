import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, FileSystem, Layer, Ref, References, Stream } from "effect"
import * as CheckpointsFileSystem from "../../src/layers/checkpoints/CheckpointsFileSystem.ts"
import * as RunLogFileSystem from "../../src/layers/runlog/RunLogFileSystem.ts"
import * as Train from "../../src/programs/Train.ts"
import { type Death, dying } from "../support/dyingFiles.ts"
import { config, learner, questions } from "../support/trainWorld.ts"

const settings = config({
  steps: 2,
  rollout: { ...config().rollout, prompts: 2, groupSize: 2 },
  update: { miniBatches: 1 },
  evaluation: { every: 2, beforeTraining: false, questions: 2 },
  checkpoints: { every: 1 }
})

const evaluation = Stream.fromIterable(questions)

const storage = (directory: string) =>
  Layer.merge(RunLogFileSystem.layer(`${directory}/log`), CheckpointsFileSystem.layer(`${directory}/checkpoints`))

/** A process that runs, or goes on with, the run in a directory. */
const once = (
  directory: string,
  options: { readonly resume: boolean; readonly evaluation?: Stream.Stream<typeof questions[number]> }
) =>
  Stream.runDrain(Train.run(settings, { evaluation, ...options })).pipe(
    Effect.provide([learner(), storage(directory)]),
    // what a crash leaves behind is told, and is as it should be
    Effect.provideService(References.MinimumLogLevel, "None"),
    Effect.exit
  )

const log = Effect.fnUntraced(function*(directory: string) {
  const fs = yield* FileSystem.FileSystem
  return {
    metrics: yield* fs.readFileString(`${directory}/log/metrics.jsonl`),
    trajectories: yield* fs.readFileString(`${directory}/log/trajectories.jsonl`)
  }
})

const inDirectories = <A, E>(
  use: (root: string, fs: FileSystem.FileSystem) => Effect.Effect<A, E, NodeServices.NodeServices>
) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    return yield* use(yield* fs.makeTempDirectoryScoped(), fs)
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))

describe("a run whose process dies at any operation on its files", () => {
  for (const death of ["killed", "power"] satisfies ReadonlyArray<Death>) {
    it.live(
      `(${death}) has the log of the unbroken run when it was taken up again`,
      () =>
        inDirectories(Effect.fnUntraced(function*(root, fs) {
          assert.isTrue(Exit.isSuccess(yield* once(`${root}/unbroken`, { resume: false })))
          const unbroken = yield* log(`${root}/unbroken`)
          for (let at = 1;; at++) {
            const files = dying(at, death)
            const directory = `${root}/${at}`
            const first = yield* Effect.provide(once(directory, { resume: false }), files.layer)
            if (files.counter.operations < at) {
              assert.isTrue(Exit.isSuccess(first))
              return assert.isAbove(at, 30)
            }
            yield* once(directory, { resume: true })
            assert.deepStrictEqual(yield* log(directory), unbroken, `dead at operation ${at}`)
            yield* fs.remove(directory, { recursive: true })
          }
        })),
      30_000
    )

    it.live(
      `(${death}) dead once more while it is taken up, after its evaluation was interrupted`,
      () =>
        inDirectories(Effect.fnUntraced(function*(root, fs) {
          yield* once(`${root}/unbroken`, { resume: false })
          const unbroken = yield* log(`${root}/unbroken`)
          const asked = yield* Ref.make(0)
          const interrupting = Stream.unwrap(Effect.map(
            Ref.updateAndGet(asked, (count) => count + 1),
            (count) => count === 1 ? Stream.fromEffect(Effect.interrupt) : evaluation
          ))
          yield* once(`${root}/interrupted`, { resume: false, evaluation: interrupting })
          for (let at = 1;; at++) {
            const files = dying(at, death)
            const directory = `${root}/${at}`
            yield* fs.copy(`${root}/interrupted`, directory)
            yield* Effect.provide(once(directory, { resume: true }), files.layer)
            if (files.counter.operations < at) return assert.isAbove(at, 15)
            yield* once(directory, { resume: true })
            assert.deepStrictEqual(yield* log(directory), unbroken, `dead at operation ${at}`)
            yield* fs.remove(directory, { recursive: true })
          }
        })),
      30_000
    )
  }
})
