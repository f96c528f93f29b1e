/**
 * What the devices have in common: a tfjs backend behind the `Device` contract.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { Effect, Option, Semaphore } from "effect"
import {
  type Device,
  type DeviceCapabilities,
  type DeviceError,
  DeviceFailed,
  OutOfDeviceMemory
} from "../../services/Device.ts"
import { fusedKernels } from "./ops/kernel.ts"
import { type Pieces, Work } from "./pieces.ts"

/**
 * A device over a registered backend. `settled` waits for queued work.
 *
 * @category models
 * @since 0.1.0
 */
export interface TfjsDeviceOptions {
  readonly name: string
  readonly backend: string
  readonly capabilities: Omit<DeviceCapabilities, "fused">
  readonly limitBytes?: number | undefined
  readonly settled?: Effect.Effect<void, DeviceError> | undefined
}

/** Words by which backends and V8 say that an allocation failed. */
const memoryWords =
  /OOM when allocating|RESOURCE_EXHAUSTED|Array buffer allocation failed|Invalid typed array length|out of memory/i

/** Keeps every tensor inside `value` when the running scope ends. */
const keepTensors = (value: unknown, seen: Set<unknown>): void => {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || seen.has(value)) return
  seen.add(value)
  if (value instanceof tf.Tensor) {
    tf.keep(value)
    return
  }
  for (const member of value instanceof Map ? value.values() : Object.values(value)) keepTensors(member, seen)
}

/**
 * Disposes of every tensor inside `value` that is still alive.
 *
 * @category combinators
 * @since 0.1.0
 */
export const disposeTensors = (value: unknown, seen = new Set<unknown>()): void => {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || seen.has(value)) return
  seen.add(value)
  if (value instanceof tf.Tensor) {
    if (!value.isDisposed) value.dispose()
    return
  }
  for (const member of value instanceof Map ? value.values() : Object.values(value)) disposeTensors(member, seen)
}

/**
 * Makes the active backend of tfjs, whose engine is one for the whole process, that of the device. The backend must be
 * initialised.
 *
 * @category combinators
 * @since 0.1.0
 */
export const activate = (backend: string): void => {
  if (tf.getBackend() === backend) return
  if (tf.findBackendFactory(backend) === null) throw new DeviceFailed({ device: backend, reason: "it is closed" })
  void tf.setBackend(backend)
}

/**
 * Makes the methods of a backend that allocate refuse what would exceed the limit.
 *
 * @category combinators
 * @since 0.1.0
 */
export const checkLimit = (device: string, limitBytes: number, requestedBytes: number): void => {
  const usedBytes = tf.engine().memory().numBytes
  if (usedBytes + requestedBytes > limitBytes) {
    throw new OutOfDeviceMemory({ device, requestedBytes, usedBytes, limitBytes })
  }
}

/**
 * The service over an initialised backend. Tensor and byte counts are those of the process's one tfjs engine.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: TfjsDeviceOptions): Device["Service"] => {
  const { backend, limitBytes = Number.POSITIVE_INFINITY, name } = options
  const toError = (cause: unknown): DeviceError => {
    if (cause instanceof OutOfDeviceMemory || cause instanceof DeviceFailed) return cause
    const reason = cause instanceof Error ? cause.message : String(cause)
    return memoryWords.test(reason)
      ? new OutOfDeviceMemory({ device: name, requestedBytes: 0, usedBytes: tf.memory().numBytes, limitBytes })
      : new DeviceFailed({ device: name, reason })
  }
  const run = <A>(compute: () => A): Effect.Effect<A, DeviceError> =>
    Effect.try({
      try: () => {
        activate(backend)
        const engine = tf.engine()
        engine.startScope(name)
        try {
          const result = compute()
          keepTensors(result, new Set())
          return result
        } finally {
          engine.endScope()
        }
      },
      catch: toError
    })
  const pieces = <A>(compute: () => Pieces<A>): Effect.Effect<A, DeviceError> =>
    Effect.suspend(() => {
      const work = new Work(compute(), name)
      const advance = Effect.try({
        try: () => {
          activate(backend)
          return work.advance((result) => keepTensors(result, new Set()))
        },
        catch: toError
      })
      return Effect.onInterrupt(
        Effect.gen(function*() {
          while (true) {
            const result = yield* advance
            if (Option.isSome(result)) return result.value
            yield* Effect.yieldNow
          }
        }),
        () =>
          Effect.sync(() => {
            if (tf.findBackendFactory(backend) === null) return
            activate(backend)
            work.abandon()
          })
      )
    })
  const turns = Semaphore.makeUnsafe(1)
  const fused = new Set(fusedKernels.filter((kernel) => tf.getKernel(kernel, backend) !== undefined))
  return {
    name,
    capabilities: { ...options.capabilities, fused },
    run,
    pieces,
    turn: (work) => turns.withPermit(work),
    resource: (compute) => Effect.acquireRelease(run(compute), (result) => Effect.sync(() => disposeTensors(result))),
    settled: options.settled ?? Effect.void,
    memory: Effect.sync(() => {
      if (tf.findBackendFactory(backend) !== null) activate(backend)
      const { numBytes, numTensors } = tf.memory()
      return { tensors: numTensors, bytes: numBytes, limitBytes }
    })
  }
}
