import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Path, Stream } from "effect"
import { wholeLines } from "../../../src/layers/runlog/jsonLines.ts"
import * as RunLogFileSystem from "../../../src/layers/runlog/RunLogFileSystem.ts"
import * as RunLogMemory from "../../../src/layers/runlog/RunLogMemory.ts"
import { RunLog, RunLogError } from "../../../src/services/RunLog.ts"
import { runLogContract } from "../../contract/runlog.ts"

runLogContract("RunLogMemory", () => RunLogMemory.layer())

runLogContract("RunLogFileSystem", () =>
  Layer.unwrap(
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const paths = yield* Path.Path
      return RunLogFileSystem.layer(paths.join(yield* fs.makeTempDirectoryScoped(), "deep", "run"))
    }).pipe(Effect.mapError((error) => new RunLogError({ path: "", reason: error.message })))
  ).pipe(Layer.provide(NodeServices.layer)))

const readSteps = Effect.flatMap(
  RunLog,
  (log) => Effect.map(Stream.runCollect(log.readMetrics), (records) => records.map((record) => record.step))
)

const record = (step: number) => `${JSON.stringify({ step, metrics: { step } })}\n`

describe("RunLogFileSystem", () => {
  it.effect("drops a torn last record wherever the crash cut it, and says so", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const paths = yield* Path.Path
      const whole = `${record(0)}${record(1)}`
      for (let cut = 1; cut < record(2).length; cut++) {
        const directory = yield* fs.makeTempDirectoryScoped()
        const file = paths.join(directory, "metrics.jsonl")
        yield* fs.writeFileString(file, whole + record(2).slice(0, cut))
        yield* Effect.gen(function*() {
          const log = yield* RunLog
          assert.deepStrictEqual(yield* readSteps, [0, 1])
          yield* log.metrics({ step: 2, metrics: {} })
          assert.deepStrictEqual(yield* readSteps, [0, 1, 2])
          const [event] = yield* Stream.runCollect(log.readEvents)
          assert.deepStrictEqual([event?.event, event?.detail], ["log-recovered", { path: file, bytes: cut }])
        }).pipe(Effect.provide(RunLogFileSystem.layer(directory)))
      }
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("drops a torn record that is longer than what it reads at once, and a file without any whole one", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const paths = yield* Path.Path
      for (const [content, steps] of [[record(0) + "x".repeat(200_000), [0]], ["y".repeat(70_000), []]] as const) {
        const directory = yield* fs.makeTempDirectoryScoped()
        yield* fs.writeFileString(paths.join(directory, "metrics.jsonl"), content)
        assert.deepStrictEqual(yield* Effect.provide(readSteps, RunLogFileSystem.layer(directory)), [...steps])
      }
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("a reader sees nothing of a record that is being written", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const paths = yield* Path.Path
      const directory = yield* fs.makeTempDirectoryScoped()
      yield* Effect.gen(function*() {
        const log = yield* RunLog
        yield* log.metrics({ step: 0, metrics: {} })
        yield* fs.writeFileString(paths.join(directory, "metrics.jsonl"), record(1).slice(0, 9), { flag: "a" })
        assert.deepStrictEqual(yield* readSteps, [0])
      }).pipe(Effect.provide(RunLogFileSystem.layer(directory)))
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("a damaged record in the middle is an error that names its line", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const paths = yield* Path.Path
      const directory = yield* fs.makeTempDirectoryScoped()
      yield* fs.writeFileString(paths.join(directory, "metrics.jsonl"), `${record(0)}{"step":\n${record(2)}`)
      const error = yield* Effect.flip(Effect.provide(readSteps, RunLogFileSystem.layer(directory)))
      assert.match(error.message, /metrics\.jsonl:2: no record/)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("a directory that cannot be made is an error that names it", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const paths = yield* Path.Path
      const directory = yield* fs.makeTempDirectoryScoped()
      yield* fs.writeFileString(paths.join(directory, "file"), "")
      const inFile = paths.join(directory, "file", "run")
      const error = yield* Effect.flip(Effect.provide(readSteps, RunLogFileSystem.layer(inFile)))
      assert.isTrue(error instanceof RunLogError && error.path === inFile)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("a run that goes on appends to what is there", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped()
      for (let step = 0; step < 3; step++) {
        yield* Effect.flatMap(RunLog, (log) => log.metrics({ step, metrics: {} })).pipe(
          Effect.provide(Layer.fresh(RunLogFileSystem.layer(directory)))
        )
      }
      assert.deepStrictEqual(yield* Effect.provide(readSteps, RunLogFileSystem.layer(directory)), [0, 1, 2])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("lines and their positions do not depend on how bytes arrive", () =>
    Effect.gen(function*() {
      const bytes = new TextEncoder().encode("ä\n\nlonger line\nöü🧭\ntorn")
      const whole = yield* Stream.runCollect(wholeLines(Stream.make(bytes)))
      assert.deepStrictEqual(whole.map((line) => [line.number, line.start, line.text]), [
        [1, 0, "ä"],
        [2, 3, ""],
        [3, 4, "longer line"],
        [4, 16, "öü🧭"]
      ])
      for (const size of [1, 2, 3, 7]) {
        const chunks = Array.from(
          { length: Math.ceil(bytes.length / size) },
          (_, index) => bytes.subarray(index * size, (index + 1) * size)
        )
        assert.deepStrictEqual(yield* Stream.runCollect(wholeLines(Stream.fromIterable(chunks))), whole)
      }
    }))
})
