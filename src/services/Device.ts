/**
 * The machine that tensors live on.
 *
 * @since 0.1.0
 */
import { Context, type Effect, Schema, type Scope } from "effect"

/**
 * The device has no memory left for a request.
 *
 * @category errors
 * @since 0.1.0
 */
export class OutOfDeviceMemory extends Schema.TaggedError<OutOfDeviceMemory>()("OutOfDeviceMemory", {
  device: Schema.String,
  requestedBytes: Schema.Finite,
  usedBytes: Schema.Finite,
  limitBytes: Schema.Finite
}) {
  override get message() {
    return `${this.device} is out of memory: ${this.requestedBytes} bytes requested, ${this.usedBytes} of ${this.limitBytes} in use. Ask for less at once (shorter texts, fewer sessions, smaller micro-batches), or take a smaller model or a device with more memory`
  }
}

/**
 * A computation failed on the device, or the device ended: nothing on it can be relied on any more. Where the device
 * knows, `operator` and `shapes` tell which operation on which tensors.
 *
 * @category errors
 * @since 0.1.0
 */
export class DeviceFailed extends Schema.TaggedError<DeviceFailed>()("DeviceFailed", {
  device: Schema.String,
  reason: Schema.String,
  operator: Schema.optionalKey(Schema.String),
  shapes: Schema.optionalKey(Schema.String)
}) {
  override get message() {
    return `${this.device} failed: ${this.reason}`
  }
}

/**
 * A device cannot be had on this machine. `mend` tells what to do about it.
 *
 * @category errors
 * @since 0.1.0
 */
export class DeviceUnavailable extends Schema.TaggedError<DeviceUnavailable>()("DeviceUnavailable", {
  device: Schema.String,
  reason: Schema.String,
  mend: Schema.String
}) {
  override get message() {
    return `the device ${this.device} is not available: ${this.reason}. ${this.mend}`
  }
}

/**
 * Why a computation gave no result.
 *
 * @category errors
 * @since 0.1.0
 */
export const DeviceError = Schema.Union([OutOfDeviceMemory, DeviceFailed])

/**
 * @category errors
 * @since 0.1.0
 */
export type DeviceError = typeof DeviceError.Type

/**
 * What a device can do. `storage` is the precision of weights and activations on it (master weights are float32 always),
 * `fused` names the fused kernels that it has, all other fused operations run as compositions of plain ones.
 * An `asynchronous` device hands work to a queue: only `Device.settled` or a read tells that it is done.
 *
 * @category models
 * @since 0.1.0
 */
export interface DeviceCapabilities {
  readonly storage: "float32" | "bfloat16"
  readonly fused: ReadonlySet<string>
  readonly threads: number
  readonly asynchronous: boolean
}

/**
 * What is alive on a device.
 *
 * @category models
 * @since 0.1.0
 */
export interface DeviceMemory {
  readonly tensors: number
  readonly bytes: number
  /** The bytes that the device may use, infinite where it has no limit of its own. */
  readonly limitBytes: number
}

/**
 * A tfjs backend as a resource. Tensors of one device must not be given to another.
 *
 * @category services
 * @since 0.1.0
 */
export class Device extends Context.Service<Device, {
  readonly name: string
  readonly capabilities: DeviceCapabilities
  /**
   * Runs a synchronous computation. Every tensor that it makes is disposed at its end, but for those in its result,
   * which belong to the caller.
   */
  run<A>(compute: () => A): Effect.Effect<A, DeviceError>
  /**
   * Like `run` for a long computation, which is left at some of its `yield`s: other fibers, timers and messages get their
   * turn there, and it can be interrupted.
   */
  pieces<A>(compute: () => Generator<void, A, void>): Effect.Effect<A, DeviceError>
  /**
   * Work that must not meet other such work half-way: computations in pieces take turns with each other and with whatever
   * changes what they read.
   */
  turn<A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R>
  /** Like `run`; the tensors of the result are disposed when the scope closes. */
  resource<A>(compute: () => A): Effect.Effect<A, DeviceError, Scope.Scope>
  /** Waits until all work handed to the device is done. */
  readonly settled: Effect.Effect<void, DeviceError>
  readonly memory: Effect.Effect<DeviceMemory>
}>()("effect-search-r1/services/Device") {}
