import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { restartedServer } from "../../bench/support/restartedServer.ts"

describe("search-r1 train with a remote retriever", () => {
  it.live(
    "gives lunr's metrics though the server is killed and started again (npm run bench -- remote does it at full size)",
    () =>
      Effect.gen(function*() {
        const directory = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()
        const run = yield* Effect.promise(() =>
          restartedServer({
            directory,
            steps: 3,
            prompts: 4,
            groupSize: 4,
            questions: 16,
            size: 60,
            killAfter: [1],
            away: 500
          })
        )
        assert.strictEqual(run.restarts, 1)
        assert.isAbove(run.retries, 0)
        assert.strictEqual(run.failedRollouts, 0)
        assert.isTrue(run.sameMetrics)
      }).pipe(Effect.provide(NodeServices.layer)),
    120_000
  )
})
