import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, FileSystem, Layer, Ref, References, Stream } from "effect"
import * as CheckpointsFileSystem from "../../src/layers/checkpoints/CheckpointsFileSystem.ts"
import * as RunLogFileSystem from "../../src/layers/runlog/RunLogFileSystem.ts"
import * as Train from "../../src/programs/Train.ts"
import { chosen, disturbed, ways } from "../contract/faults.ts"
import { unsynced } from "../support/faultyFiles.ts"
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
  }).pipe(Effect.scoped, Effect.provide(unsynced), Effect.provide(NodeServices.layer))

/** A run, begun or taken up, of which an operation on its files goes wrong in each way; none may change the log. */
const whatever = (
  fewest: number,
  from: (root: string) => Effect.Effect<string, unknown, NodeServices.NodeServices>,
  resume: boolean
) => {
  for (const [way, faultAt] of Object.entries(ways)) {
    it.live(`${resume ? "taken up" : "begun"}: ${way}`, () =>
      inDirectories(Effect.fnUntraced(function*(root, fs) {
        assert.isTrue(Exit.isSuccess(yield* once(`${root}/unbroken`, { resume: false })))
        const unbroken = yield* log(`${root}/unbroken`)
        const origin = yield* Effect.orDie(from(root))
        const directory = `${root}/run`
        const attempt = (at: number) =>
          Effect.andThen(
            fs.copy(origin, directory),
            disturbed((root) => once(root, { resume }), directory, at, faultAt(at))
          )
        const { exit, files } = yield* attempt(Number.POSITIVE_INFINITY)
        assert.isTrue(Exit.isSuccess(exit))
        assert.isAbove(files.state.operations, fewest)
        // a run has hundreds of operations: every point at which its process is killed, and some of the other ways
        const most = way === "the process is killed" ? undefined : 5
        for (const at of chosen(`${resume}`, files.state.kinds, faultAt, most)) {
          yield* fs.remove(directory, { recursive: true })
          yield* attempt(at)
          yield* once(directory, { resume: true })
          assert.deepStrictEqual(yield* log(directory), unbroken, `${faultAt(at)} at operation ${at}`)
        }
      })), 60_000)
  }
}

describe("a run has the log of the unbroken one when it was taken up again, whatever goes wrong with its files", () => {
  whatever(30, (root) =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      yield* fs.makeDirectory(`${root}/nothing`)
      return `${root}/nothing`
    }), false)

  // whose evaluation was interrupted
  whatever(15, (root) =>
    Effect.gen(function*() {
      const asked = yield* Ref.make(0)
      const interrupting = Stream.unwrap(Effect.map(
        Ref.updateAndGet(asked, (count) => count + 1),
        (count) => count === 1 ? Stream.fromEffect(Effect.interrupt) : evaluation
      ))
      yield* once(`${root}/interrupted`, { resume: false, evaluation: interrupting })
      return `${root}/interrupted`
    }), true)
})
