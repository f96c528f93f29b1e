import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { killedRun } from "../../bench/support/killedRun.ts"

describe("search-r1 train", () => {
  it.live(
    "killed with SIGKILL and resumed, it leaves the log of the unbroken run (npm run bench -- kill does it 20 times)",
    () =>
      Effect.gen(function*() {
        const directory = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()
        const run = yield* Effect.promise(() => killedRun({ directory, steps: 5, kills: 2, seed: "test" }))
        assert.isAtLeast(run.kills, 1)
        assert.isTrue(run.resumedAt.some((step) => step > 0), "at least one resumed from a checkpoint")
        assert.strictEqual(run.steps, 5)
        assert.isTrue(run.sameMetrics)
        assert.isTrue(run.sameTexts)
      }).pipe(Effect.provide(NodeServices.layer)),
    120_000
  )
})
