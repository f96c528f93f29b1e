import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Metric, Schedule, Stream } from "effect"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import * as PolicyScripted from "../../src/layers/policy/PolicyScripted.ts"
import * as RetrieverRemote from "../../src/layers/retriever/RetrieverRemote.ts"
import * as RetrieverResilient from "../../src/layers/retriever/RetrieverResilient.ts"
import * as Rollout from "../../src/programs/Rollout.ts"
import { prompts, Tokens } from "../support/rollouts.ts"

/** A server that takes every request and answers none, and counts its sockets. */
const silentServer = Effect.acquireRelease(
  Effect.callback<
    { readonly server: Server; readonly sockets: () => number; readonly requests: () => number; readonly url: string }
  >(
    (resume) => {
      let sockets = 0
      let requests = 0
      const server = createServer(() => {
        requests++
      })
      server.on("connection", (socket) => {
        sockets++
        socket.on("close", () => {
          sockets--
        })
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        resume(Effect.succeed({
          server,
          sockets: () => sockets,
          requests: () => requests,
          url: `http://127.0.0.1:${port}`
        }))
      })
    }
  ),
  ({ server }) =>
    Effect.callback<void>((resume) => {
      server.closeAllConnections()
      server.close(() => resume(Effect.void))
    })
)

/** Waits for a condition with a real clock. A test that never holds ends at vitest's limit. */
const until = (condition: () => boolean) =>
  Effect.sync(condition).pipe(
    Effect.repeat({ schedule: Schedule.spaced("5 millis"), until: (holds: boolean) => holds })
  )

const activeFibers = Effect.map(
  Metric.snapshot,
  (snapshots) =>
    snapshots.flatMap((snapshot) =>
      snapshot.id === "child_fibers_active" && snapshot.type === "Gauge" ? [Number(snapshot.state.value)] : []
    )[0] ?? 0
)

describe("64 rollouts in flight against a server", () => {
  it.live("close every socket and leave no fiber when their stream is interrupted", () =>
    Effect.gen(function*() {
      const { requests, sockets, url } = yield* silentServer
      const before = yield* activeFibers
      const remote = RetrieverResilient.layer({ concurrency: { limit: 64 }, batching: false }).pipe(
        Layer.provide(RetrieverRemote.layer({ url })),
        Layer.provide(NodeHttpClient.layerUndici)
      )
      // different queries, so that neither cache nor de-duplication makes one request of them
      const policy = PolicyScripted.layer(({ promptKey }) => `<search>${promptKey}</search>`).pipe(
        Layer.provideMerge(Tokens)
      )
      const fiber = yield* Rollout.outcomes(prompts(200), { concurrency: 64 }).pipe(
        Stream.runDrain,
        Effect.provide(Layer.mergeAll(remote, policy)),
        Effect.forkChild
      )
      yield* until(() => requests() === 64)
      assert.strictEqual(sockets(), 64)
      assert.isAbove(yield* activeFibers, before)
      yield* Fiber.interrupt(fiber)
      yield* until(() => sockets() === 0)
      assert.strictEqual(requests(), 64)
      assert.strictEqual(yield* activeFibers, before)
    }).pipe(Effect.provide(Metric.enableRuntimeMetricsLayer)))
})
