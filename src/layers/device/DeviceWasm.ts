/**
 * The default device: kernels of our own in WebAssembly, on all cores, with nothing to install.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { Config, Effect, Layer, Schema } from "effect"
import * as os from "node:os"
import { Device, DeviceUnavailable } from "../../services/Device.ts"
import { make } from "./tfjs.ts"
import { Pool } from "./wasm/Pool.ts"
import { register, unregister } from "./wasm/register.ts"

/** The variable of the environment for a number of threads: for processes that share a machine's cores. */
const threadsVariable = "SEARCH_R1_THREADS"

const threadsOfEnvironment: Effect.Effect<number, DeviceUnavailable> = Effect.mapError(
  Config.schema(
    Schema.NumberFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 1, maximum: 1024 })),
    threadsVariable
  )
    .pipe(Config.withDefault(os.availableParallelism())),
  () =>
    new DeviceUnavailable({
      device: "wasm",
      reason: `${threadsVariable}=${process.env[threadsVariable] ?? ""} is no number of threads`,
      mend: `Give a whole number from 1 to 1024, e.g. ${threadsVariable}=1, or leave it out for one a core.`
    })
)

/**
 * `threads`: how many, the caller's own included (default: `SEARCH_R1_THREADS`, else as many as there are cores).
 * `relaxedSimd` and `wideVectors` let a machine's better instructions be switched off; where it has none they change nothing.
 * `limitBytes` bounds what tensors may take, 4 GiB at most.
 *
 * @category models
 * @since 0.1.0
 */
export interface DeviceWasmOptions {
  readonly threads?: number | undefined
  readonly relaxedSimd?: boolean | undefined
  readonly wideVectors?: boolean | undefined
  readonly limitBytes?: number | undefined
}

/**
 * The device `wasm`. Results depend on nothing but the inputs: neither on the number of threads nor on what else is in a
 * batch. Where worker threads cannot start it runs with one.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: DeviceWasmOptions): Layer.Layer<Device, DeviceUnavailable> =>
  Layer.effect(
    Device,
    Effect.gen(function*() {
      const threads = options?.threads ?? (yield* threadsOfEnvironment)
      const pool = yield* Effect.acquireRelease(
        Effect.try({
          try: () =>
            new Pool({
              device: "wasm",
              threads,
              relaxedSimd: options?.relaxedSimd ?? true,
              wideVectors: options?.wideVectors ?? true,
              limitBytes: options?.limitBytes ?? Number.POSITIVE_INFINITY
            }),
          catch: (cause) =>
            new DeviceUnavailable({
              device: "wasm",
              reason: cause instanceof Error ? cause.message : String(cause),
              mend:
                "It needs Node 22 or later with WebAssembly SIMD, and the kernels that `npm run build:kernels` makes."
            })
        }),
        (pool) => Effect.promise(() => pool.close())
      )
      if (pool.threadsRefused !== undefined) {
        yield* Effect.logWarning(`the device wasm runs with one thread: ${pool.threadsRefused}`)
      }
      tf.env().set("PROD", true)
      const { name } = yield* Effect.acquireRelease(
        Effect.sync(() => register(pool)),
        ({ backend, name }) => Effect.sync(() => backend.retire(() => unregister(name)))
      )
      yield* Effect.promise(() => tf.setBackend(name))
      return Device.of(make({
        name: "wasm",
        backend: name,
        capabilities: { storage: "float32", threads: pool.threads, asynchronous: false },
        limitBytes: pool.limitBytes
      }))
    })
  )
