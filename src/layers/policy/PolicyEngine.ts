/**
 * A model that samples and learns: `Policy`, `Optimizer`, `Critic` and `ReferencePolicy` over one engine, in a thread of
 * its own or in the caller's.
 *
 * @since 0.1.0
 */
import * as NodeWorker from "@effect/platform-node/NodeWorker"
import { Deferred, Effect, type FileSystem, Layer, Option, type Path } from "effect"
import { RpcClient } from "effect/rpc"
import { SHARE_ENV, Worker } from "node:worker_threads"
import { Critic } from "../../services/Critic.ts"
import { Optimizer } from "../../services/Optimizer.ts"
import { Policy } from "../../services/Policy.ts"
import { ReferencePolicy } from "../../services/ReferencePolicy.ts"
import * as EngineClient from "./engine/EngineClient.ts"
import { EngineRpcs, type StartError, type StartOptions } from "./engine/EngineRpcs.ts"
import * as EngineServer from "./engine/EngineServer.ts"
import { Engine, type EngineServices } from "./engine/EngineServices.ts"

export { StartError, StartOptions } from "./engine/EngineRpcs.ts"
export { Engine, type EngineServices } from "./engine/EngineServices.ts"

const services = (engine: Layer.Layer<Engine, StartError, FileSystem.FileSystem | Path.Path>) =>
  Layer.effect(Policy, Effect.map(Engine, ({ policy }) => policy)).pipe(
    Layer.merge(Layer.effect(Optimizer, Effect.map(Engine, ({ optimizer }) => optimizer))),
    Layer.provideMerge(engine)
  )

/**
 * An engine in the caller's thread: while it computes, nothing else in the thread runs. For tests and scripts.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerLocal = (
  options: StartOptions
): Layer.Layer<Engine | Policy | Optimizer, StartError, FileSystem.FileSystem | Path.Path> =>
  services(Layer.effect(Engine, Effect.map(EngineServer.start(options), (engine): EngineServices => engine)))

const workerUrl = new URL(
  import.meta.url.endsWith(".ts") ? "./engine/worker.ts" : "./engine/worker.js",
  import.meta.url
)

/** Milliseconds in which a thread that is no longer wanted may end by itself. */
const grace = 500

/**
 * Starts the engine's thread, once: an engine that ended has lost its parameters, so that another thread cannot stand in
 * for it. `ended` gets the reason when the thread ends, whatever ended it. `stop` ends a thread that is in the middle of a
 * long computation and would not hear of it before its end.
 */
const makeThread = (ended: Deferred.Deferred<string>) => {
  let thread: Worker | undefined
  const spawn = () => {
    if (thread !== undefined) throw new Error("the engine's thread has ended")
    // Libraries that a device loads there read their settings from the environment of the process.
    const worker = new Worker(workerUrl, { env: SHARE_ENV })
    const end = (reason: string) => Deferred.doneUnsafe(ended, Effect.succeed(reason))
    worker.once("error", (cause) => end(cause instanceof Error ? cause.message : String(cause)))
    worker.once("exit", (code) => end(`it exited with code ${code}`))
    thread = worker
    return worker
  }
  const terminated = Effect.promise(async () => thread?.terminate())
  const stop = Effect.forkDetach(Effect.raceFirst(Deferred.await(ended), Effect.delay(terminated, grace)))
  return { spawn, stop }
}

/**
 * An engine in a thread of its own: timers, sockets and Ctrl-C of the caller's thread keep their time while it computes.
 * When the thread dies, all calls, pending and later ones, fail: `PolicyUnavailable`, `LearnerUnavailable` or
 * `DeviceFailed` with the reason.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: StartOptions
): Layer.Layer<Engine | Policy | Optimizer, StartError, FileSystem.FileSystem | Path.Path> =>
  services(Layer.unwrap(Effect.sync(() => {
    const ended = Deferred.makeUnsafe<string>()
    const thread = makeThread(ended)
    return Layer.effect(
      Engine,
      Effect.gen(function*() {
        const client = yield* RpcClient.make(EngineRpcs)
        yield* Effect.addFinalizer(() => thread.stop)
        return yield* EngineClient.make(client, options, Deferred.await(ended))
      })
    ).pipe(
      Layer.provide(
        Layer.orDie(RpcClient.layerProtocolWorker({ size: 1, concurrency: Number.MAX_SAFE_INTEGER }))
      ),
      Layer.provide(NodeWorker.layer(thread.spawn))
    )
  })))

/**
 * The critic of the engine that the layer is provided with. An engine that was started without one is a defect.
 *
 * @category layers
 * @since 0.1.0
 */
export const critic: Layer.Layer<Critic, never, Engine> = Layer.fresh(Layer.effect(
  Critic,
  Effect.flatMap(Engine, (engine) =>
    Option.match(engine.critic, {
      onNone: () => Effect.die(new Error("the engine was started without a critic")),
      onSome: Effect.succeed
    }))
))

/**
 * The frozen first weights of the engine that the layer is provided with. An engine that was started without them is a defect.
 *
 * @category layers
 * @since 0.1.0
 */
export const reference: Layer.Layer<ReferencePolicy, never, Engine> = Layer.fresh(Layer.effect(
  ReferencePolicy,
  Effect.flatMap(Engine, (engine) =>
    Option.match(engine.reference, {
      onNone: () => Effect.die(new Error("the engine was started without a reference policy")),
      onSome: Effect.succeed
    }))
))
