import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import * as RunFolder from "../../src/cli/runFolder.ts"
import * as RunSummary from "../../src/cli/runSummary.ts"
import { resolve } from "../../src/domain/RunConfigInput.ts"
import * as CheckpointsFileSystem from "../../src/layers/checkpoints/CheckpointsFileSystem.ts"
import * as ProcessIdentity from "../../src/layers/processIdentity.ts"
import * as RunLogFileSystem from "../../src/layers/runlog/RunLogFileSystem.ts"
import * as WriterLock from "../../src/layers/writerLock.ts"
import { Checkpoints } from "../../src/services/Checkpoints.ts"
import { RunLog } from "../../src/services/RunLog.ts"

/** The state of a run of two steps whose log has lines for some, and whose checkpoint is of another. */
const stateOf = (logged: number, saved: number) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const folder = yield* RunFolder.at(yield* fs.makeTempDirectoryScoped())
    yield* RunFolder.writeConfig(folder, yield* Effect.orDie(Effect.fromResult(resolve({ steps: 2 }))))
    yield* Effect.scoped(Effect.gen(function*() {
      const log = yield* RunLog
      yield* log.event("started", {})
      for (let step = 1; step <= logged; step++) yield* log.metrics({ step, metrics: {} })
      if (saved > 0) {
        yield* Checkpoints.use((checkpoints) => checkpoints.save({ step: saved, metric: null, state: null, blobs: {} }))
      }
    })).pipe(
      Effect.provide([RunLogFileSystem.layer(folder.log), CheckpointsFileSystem.layer(folder.checkpoints)])
    )
    const { state, step } = yield* RunSummary.read(folder.directory)
    return [state, step]
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))

describe("the state of a run", () => {
  it.live("counts a step that was learned and saved, though the evaluation behind it was interrupted", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* stateOf(0, 0), ["no step yet", 0])
      assert.deepStrictEqual(yield* stateOf(0, 1), ["unfinished", 1])
      assert.deepStrictEqual(yield* stateOf(1, 1), ["unfinished", 1])
      assert.deepStrictEqual(yield* stateOf(1, 2), ["not evaluated", 2])
      assert.deepStrictEqual(yield* stateOf(2, 2), ["done", 2])
    }))

  it.live("is running while a process holds its lock, and what the log says once that has ended", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* RunFolder.at(yield* fs.makeTempDirectoryScoped())
      yield* RunFolder.writeConfig(folder, yield* Effect.orDie(Effect.fromResult(resolve({ steps: 2 }))))
      const state = Effect.map(RunSummary.read(folder.directory), ({ state }) => state)
      assert.strictEqual(yield* Effect.scoped(Effect.andThen(RunFolder.claim(folder), state)), "running")
      assert.strictEqual(yield* state, "no step yet")
      // of a process that is gone the lock says nothing
      const own = yield* ProcessIdentity.own
      const lock = JSON.stringify({ ...own, pid: 2 ** 22 + 1, since: "2026-01-01T00:00:00.000Z", token: "left" })
      yield* fs.writeFileString(`${folder.directory}/${WriterLock.fileName}`, lock)
      assert.strictEqual(yield* state, "no step yet")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
