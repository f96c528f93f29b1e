/**
 * The tfjs backend over libtorch: tensors are handles of the addon.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { DeviceFailed, OutOfDeviceMemory } from "../../../services/Device.ts"
import type { CapturedInput, CapturingBackend } from "../ops/captured.ts"
import { checkLimit } from "../tfjs.ts"
import { type Addon, type Handle, type HostArray, type Result, scalarType, type Value } from "./addon.ts"
import { unaryResult } from "./operators.ts"

/** Arrays of ids and lengths up to this size are kept on JavaScript's side too. */
const mirrored = 1 << 16

/**
 * The data behind tensors: what tfjs calls a data id. `handle` is 0 where only `fill` is known yet, and `low` is a
 * bfloat16 copy of float32 data, made when a computation first asks for one and kept.
 *
 * @category models
 * @since 0.1.0
 */
export class Stored {
  handle: Handle
  low: Handle = 0
  references = 1
  readonly shape: ReadonlyArray<number>
  readonly dtype: tf.DataType
  /** Whether `handle` itself is bfloat16. */
  isLow: boolean
  fill: number | undefined
  host: Int32Array | undefined
  /** Handles that go with this one. */
  extra: Handle = 0
  /** Whether a recorded computation uses it. */
  recorded = false

  constructor(handle: Handle, shape: ReadonlyArray<number>, dtype: tf.DataType, isLow: boolean) {
    this.handle = handle
    this.shape = shape
    this.dtype = dtype
    this.isLow = isLow
  }
}

const sizeOf = (shape: ReadonlyArray<number>): number => shape.reduce((size, dim) => size * dim, 1)

const sameShape = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): boolean => {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

const property = (value: object, name: string): string =>
  name in value ? String(Object.getOwnPropertyDescriptor(value, name)?.value ?? "") : ""

const full = unaryResult("aten::full")
const toType = unaryResult("aten::_to_copy")

/**
 * How a backend computes.
 *
 * @category models
 * @since 0.1.0
 */
export interface TorchOptions {
  readonly name: string
  /** `cpu`, or `cuda:N`. */
  readonly device: string
  readonly storage: "float32" | "bfloat16"
}

/**
 * Runs computations that are recorded under keys.
 *
 * @category models
 * @since 0.1.0
 */
export interface RecordedComputations {
  readonly run: CapturingBackend["captured"]
  /** Gives up what uses some data, which is about to go. */
  readonly forget: (data: Stored) => void
  readonly dispose: () => void
}

/**
 * @category models
 * @since 0.1.0
 */
export class TorchBackend extends tf.KernelBackend implements CapturingBackend {
  readonly addon: Addon
  readonly name: string
  readonly device: string
  readonly low: boolean
  readonly isCard: boolean
  limitBytes = Number.POSITIVE_INFINITY
  /** Recorded computations. */
  graphs: RecordedComputations | undefined
  #stored = 0
  #settling: Promise<void> | undefined

  constructor(addon: Addon, options: TorchOptions) {
    super()
    this.addon = addon
    this.name = options.name
    this.device = options.device
    this.low = options.storage === "bfloat16"
    this.isCard = options.device.startsWith("cuda")
  }

  /** Makes this backend's device the thread's. */
  activate(): void {
    this.guard(() => this.addon.device(this.device))
  }

  /** Errors of the addon as typed errors. */
  guard<A>(body: () => A): A {
    try {
      return body()
    } catch (cause) {
      if (!(cause instanceof Error)) throw cause
      const code = property(cause, "code")
      if (code === "OUT_OF_MEMORY") {
        const requested = /allocate (\d+) bytes/.exec(cause.message)?.[1]
        throw new OutOfDeviceMemory({
          device: this.name,
          requestedBytes: requested === undefined ? 0 : Number(requested),
          usedBytes: this.isCard ? this.addon.memory().allocated : this.addon.live().bytes,
          limitBytes: this.limitBytes
        })
      }
      if (code === "ATEN" || code === "MISUSE") {
        const name = property(cause, "operator")
        const shapes = property(cause, "shapes")
        throw new DeviceFailed({
          device: this.name,
          reason: name === "" ? cause.message : `${name}(${shapes}): ${cause.message}`,
          ...(name === "" ? {} : { operator: name, shapes })
        })
      }
      throw cause
    }
  }

  lookUp(name: string, overload: string): number {
    return this.guard(() => this.addon.op(name, overload))
  }

  call(id: number, args: ReadonlyArray<Value>): Result {
    return this.guard(() => this.addon.call(id, ...args))
  }

  typeOf(dtype: tf.DataType): number {
    if (dtype === "float32") return scalarType.float32
    if (dtype === "int32") return scalarType.int32
    if (dtype === "bool") return scalarType.bool
    throw new TypeError(`tensors of ${dtype} do not exist on ${this.name}`)
  }

  /** The data behind a tensor of this backend. */
  stored(info: tf.TensorInfo): Stored {
    if (info.dataId instanceof Stored) return info.dataId
    throw new TypeError(`a tensor of another device reached ${this.name}`)
  }

  /** Makes data known to tfjs. */
  register(data: Stored): tf.TensorInfo {
    this.#stored++
    return { dataId: data, shape: [...data.shape], dtype: data.dtype }
  }

  /** Takes over a handle made in the running kernel. */
  adopt(handle: Handle, shape: ReadonlyArray<number>, dtype: tf.DataType): tf.TensorInfo {
    if (this.limitBytes !== Number.POSITIVE_INFINITY) checkLimit(this.name, this.limitBytes, sizeOf(shape) * 4)
    const isLow = this.low && dtype === "float32" && this.addon.dtype(handle) === scalarType.bfloat16
    return this.register(new Stored(handle, shape, dtype, isLow))
  }

  /** A tensor of one value everywhere, without memory until it is used. */
  filled(shape: ReadonlyArray<number>, value: number, dtype: tf.DataType): tf.TensorInfo {
    if (this.limitBytes !== Number.POSITIVE_INFINITY) checkLimit(this.name, this.limitBytes, sizeOf(shape) * 4)
    const data = new Stored(0, shape, dtype, false)
    data.fill = value
    return this.register(data)
  }

  #materialize(data: Stored, type: number): Handle {
    const handle = full(this, data.shape, data.fill ?? 0, type, null, this.device)
    this.addon.keep(handle)
    return handle
  }

  #shaped(handle: Handle, data: Stored, shape: ReadonlyArray<number>): Handle {
    return sameShape(data.shape, shape) ? handle : this.guard(() => this.addon.reshape(handle, shape))
  }

  /** The data as it is stored, in the tensor's shape. */
  input(info: tf.TensorInfo): Handle {
    const data = this.stored(info)
    if (data.handle === 0) data.handle = this.#materialize(data, this.typeOf(data.dtype))
    return this.#shaped(data.handle, data, info.shape)
  }

  /** The data in the precision of storage, in the tensor's shape. */
  compute(info: tf.TensorInfo): Handle {
    const data = this.stored(info)
    if (!this.low || data.isLow || data.dtype !== "float32") return this.input(info)
    if (data.handle === 0 && data.low === 0) data.low = this.#materialize(data, scalarType.bfloat16)
    if (data.low === 0) {
      data.low = toType(this, data.handle, scalarType.bfloat16)
      this.addon.keep(data.low)
    }
    return this.#shaped(data.low, data, info.shape)
  }

  /** Makes float32 the data's own type; for what an optimizer updates. */
  master(info: tf.TensorInfo): Stored {
    const data = this.stored(info)
    if (data.isLow) {
      const master = toType(this, data.handle, scalarType.float32)
      this.addon.keep(master)
      this.#drop(data)
      data.low = data.handle
      data.handle = master
      data.isLow = false
    }
    this.input(info)
    return data
  }

  /** Makes the precision of storage the data's only type; for a cache. */
  cache(info: tf.TensorInfo): Handle {
    const data = this.stored(info)
    const handle = this.compute(info)
    if (this.low && !data.isLow) {
      if (data.handle !== 0) this.addon.release(data.handle)
      data.handle = data.low
      data.low = 0
      data.isLow = true
      data.fill = undefined
    }
    return handle
  }

  #drop(data: Stored): void {
    if (data.low !== 0) this.addon.release(data.low)
    data.low = 0
  }

  /** Small arrays of integers without waiting for the device. */
  integers(info: tf.TensorInfo): Int32Array {
    const { host } = this.stored(info)
    if (host !== undefined) return host
    const values = this.readSync(info.dataId)
    if (values instanceof Int32Array) return values
    throw new TypeError("integers are expected")
  }

  override write(values: tf.BackendValues, shape: Array<number>, dtype: tf.DataType): object {
    return this.upload(values, shape, dtype)
  }

  get captures(): boolean {
    return this.graphs !== undefined
  }

  captured(
    key: string,
    inputs: Readonly<Record<string, CapturedInput>>,
    state: ReadonlyArray<tf.Tensor>,
    compute: (inputs: (name: string) => tf.Tensor) => ReadonlyArray<tf.Tensor>
  ): ReadonlyArray<tf.Tensor> {
    if (this.graphs === undefined) throw new TypeError(`${this.name} cannot record computations`)
    return this.graphs.run(key, inputs, state, compute)
  }

  override move(
    dataId: object,
    values: tf.BackendValues,
    shape: Array<number>,
    dtype: tf.DataType,
    references: number
  ): void {
    throw new TypeError(
      `a tensor of shape [${
        shape.join(", ")
      }] and type ${dtype} (${references} uses, ${values.length} values, ${typeof dataId}) cannot be moved to ${this.name} from another device`
    )
  }

  /** Copies values to the device. */
  upload(values: tf.BackendValues, shape: ReadonlyArray<number>, dtype: tf.DataType): Stored {
    const typed = toHost(values, dtype)
    if (this.limitBytes !== Number.POSITIVE_INFINITY) checkLimit(this.name, this.limitBytes, typed.length * 4)
    const handle = this.guard(() => this.addon.fromData(typed, shape, this.typeOf(dtype)))
    this.addon.keep(handle)
    const data = new Stored(handle, [...shape], dtype, false)
    if (typed instanceof Int32Array && typed.length <= mirrored) data.host = typed.slice()
    this.#stored++
    return data
  }

  override readSync(dataId: object): tf.BackendValues {
    if (!(dataId instanceof Stored)) throw new TypeError(`a tensor of another device reached ${this.name}`)
    if (dataId.host !== undefined) return dataId.host.slice()
    const size = sizeOf(dataId.shape)
    const into = dataId.dtype === "float32"
      ? new Float32Array(size)
      : dataId.dtype === "int32"
      ? new Int32Array(size)
      : new Uint8Array(size)
    if (dataId.handle === 0 && dataId.low === 0) return into.fill(dataId.fill ?? 0)
    return this.guard(() => this.addon.read(dataId.handle === 0 ? dataId.low : dataId.handle, into))
  }

  /** Several reads wait together; reading itself is in order with all other work. */
  override async read(dataId: object): Promise<tf.BackendValues> {
    this.#settling ??= this.addon.settle().finally(() => {
      this.#settling = undefined
    })
    await this.#settling
    return this.readSync(dataId)
  }

  override disposeData(dataId: object, force = false): boolean {
    if (!(dataId instanceof Stored)) return true
    dataId.references--
    if (!force && dataId.references > 0) return false
    if (dataId.recorded) this.graphs?.forget(dataId)
    for (const handle of [dataId.handle, dataId.low, dataId.extra]) if (handle !== 0) this.addon.release(handle)
    dataId.handle = dataId.low = dataId.extra = 0
    this.#stored--
    return true
  }

  override incRef(dataId: object): void {
    if (dataId instanceof Stored) dataId.references++
  }

  decRef(dataId: object): void {
    if (dataId instanceof Stored) dataId.references--
  }

  override refCount(dataId: object): number {
    return dataId instanceof Stored ? dataId.references : 0
  }

  override numDataIds(): number {
    return this.#stored
  }

  override memory(): { unreliable: boolean } {
    return { unreliable: false }
  }

  override floatPrecision(): 16 | 32 {
    return 32
  }

  override epsilon(): number {
    return 1e-7
  }

  override timerAvailable(): boolean {
    return false
  }

  override dispose(): void {}
}

const toHost = (values: tf.BackendValues, dtype: tf.DataType): HostArray => {
  if (values instanceof Float32Array || values instanceof Int32Array || values instanceof Uint8Array) {
    if (dtype === "float32" && !(values instanceof Float32Array)) return Float32Array.from(values)
    if (dtype === "int32" && !(values instanceof Int32Array)) return Int32Array.from(values)
    if (dtype === "bool" && !(values instanceof Uint8Array)) return Uint8Array.from(values)
    return values
  }
  throw new TypeError(`tensors of ${dtype} do not exist on this device`)
}
