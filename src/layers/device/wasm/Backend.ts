/**
 * Tensors in the memory of the kernels, as a tfjs backend.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import type { CapturedInput, CapturingBackend } from "../ops/captured.ts"
import type { Pool } from "./Pool.ts"
import { Programs } from "./Programs.ts"

const bytesPerElement = (dtype: tf.DataType): number => dtype === "bool" ? 1 : dtype === "complex64" ? 0 : 4

/**
 * Number of elements of a shape.
 *
 * @category getters
 * @since 0.1.0
 */
export const sizeOf = (shape: ReadonlyArray<number>): number => shape.reduce((size, dim) => size * dim, 1)

/** Arrays that back a tensor of numbers. */
export type NumberArray = Float32Array | Int32Array | Uint8Array

/** One tensor's storage. Kernels that run in JavaScript see it through `values`, without a copy. */
export class TensorData {
  refCount = 1
  /** Parts of a complex tensor; set by the kernel `Complex`. */
  complexTensorInfos: { readonly real: tf.TensorInfo; readonly imag: tf.TensorInfo } | undefined = undefined
  /** How often it was the right side of a product of few rows, and its copy in packed panels (0: none). */
  smallProducts = 0
  packed = 0
  readonly pool: Pool
  readonly dtype: tf.DataType
  readonly size: number
  readonly address: number
  readonly strings: Array<Uint8Array> | Array<string> | undefined

  constructor(
    pool: Pool,
    dtype: tf.DataType,
    size: number,
    address: number,
    strings?: Array<Uint8Array> | Array<string>
  ) {
    this.pool = pool
    this.dtype = dtype
    this.size = size
    this.address = address
    this.strings = strings
  }

  /** A view of the numbers, valid until the tensor is disposed of. */
  get numbers(): NumberArray {
    const { address, dtype, pool, size } = this
    if (dtype === "float32") return pool.f32.subarray(address / 4, address / 4 + size)
    if (dtype === "int32") return pool.i32.subarray(address / 4, address / 4 + size)
    return pool.u8.subarray(address, address + size)
  }

  get values(): NumberArray | Array<Uint8Array> | Array<string> | undefined {
    return this.strings ?? (this.dtype === "complex64" ? undefined : this.numbers)
  }
}

const isStrings = (values: unknown): values is Array<Uint8Array> | Array<string> =>
  Array.isArray(values) && (typeof values[0] === "string" || values[0] instanceof Uint8Array)

const isNumbers = (values: unknown): values is NumberArray =>
  values instanceof Float32Array || values instanceof Int32Array || values instanceof Uint8Array

/**
 * The backend. The methods beyond `KernelBackend` are those of `MathBackendCPU`, so that its kernels run on this storage
 * where there is no kernel of our own.
 *
 * @category models
 * @since 0.1.0
 */
export class WasmBackend extends tf.KernelBackend implements CapturingBackend {
  /** What the plain kernels of @tensorflow/tfjs-backend-cpu read. */
  readonly blockSize = 48
  readonly data: tf.DataStorage<TensorData>
  readonly pool: Pool
  readonly captures = true
  /** How often packed copies were dropped. */
  generation = 0
  readonly #programs: Programs
  readonly #packed = new Set<TensorData>()
  #whenEmpty: (() => void) | undefined = undefined
  /** Tensors made since the running kernel began. */
  readonly #made: Array<object> = []

  constructor(pool: Pool) {
    super()
    this.pool = pool
    this.data = new tf.DataStorage(this, tf.engine())
    this.#programs = new Programs(this)
    pool.reclaim = () => {
      const programs = this.#programs.clear()
      return this.#dropPacked() || programs
    }
  }

  captured(
    key: string,
    inputs: Readonly<Record<string, CapturedInput>>,
    state: ReadonlyArray<tf.Tensor>,
    compute: (inputs: (name: string) => tf.Tensor) => ReadonlyArray<tf.Tensor>
  ): ReadonlyArray<tf.Tensor> {
    return this.#programs.run(key, inputs, state, compute)
  }

  /** Memory for a packed copy of a tensor, or 0 where memory is better used otherwise. */
  keepPacked(data: TensorData, bytes: number): number {
    const { heap, limitBytes } = this.pool
    if (heap.liveBytes + bytes > limitBytes / 2) return 0
    data.packed = heap.allocate(bytes)
    if (data.packed !== 0) this.#packed.add(data)
    return data.packed
  }

  /** To be called when a kernel has written into a tensor that exists: forgets what was derived from it. */
  changed(x: tf.TensorInfo): void {
    this.#forget(this.data.get(x.dataId))
  }

  #forget(data: TensorData): void {
    if (data.packed === 0) return
    this.pool.heap.release(data.packed)
    data.packed = 0
    data.smallProducts = 0
    this.generation++
    this.#packed.delete(data)
  }

  #dropPacked(): boolean {
    const any = this.#packed.size > 0
    for (const data of this.#packed) this.#forget(data)
    return any
  }

  #store(dataId: object, shape: ReadonlyArray<number>, dtype: tf.DataType, values: unknown): TensorData {
    const size = sizeOf(shape)
    if (dtype === "string" || dtype === "complex64") {
      const strings = isStrings(values) ? values : []
      const data = new TensorData(this.pool, dtype, size, 0, dtype === "string" ? strings : undefined)
      this.data.set(dataId, data)
      this.#made.push(dataId)
      return data
    }
    const data = new TensorData(this.pool, dtype, size, this.pool.allocate(size * bytesPerElement(dtype)))
    if (values !== undefined && values !== null) {
      const numbers = data.numbers
      if (isNumbers(values) || Array.isArray(values)) numbers.set(values)
      this.pool.recording?.pin(data.address)
    }
    this.data.set(dataId, data)
    this.#made.push(dataId)
    return data
  }

  /**
   * Runs a kernel. Its temporaries go at its end; when it fails, so do the tensors that it made.
   */
  kernel<A>(body: () => A): A {
    const { pool } = this
    const temporaries = pool.temporaries
    const made = this.#made.length
    let done = false
    try {
      const result = body()
      done = true
      return result
    } finally {
      pool.releaseTemporaries(temporaries)
      if (!done) { for (const dataId of this.#made.slice(made)) this.disposeData(dataId, true) }
      this.#made.length = made
    }
  }

  override write(values: tf.BackendValues, shape: Array<number>, dtype: tf.DataType): object {
    const dataId = {}
    this.kernel(() => this.#store(dataId, shape, dtype, values))
    return dataId
  }

  override move(
    dataId: object,
    values: tf.BackendValues,
    shape: Array<number>,
    dtype: tf.DataType,
    refCount: number
  ): void {
    this.kernel(() => this.#store(dataId, shape, dtype, values)).refCount = refCount
  }

  /** A new tensor, uninitialised without `values`. */
  makeTensorInfo(
    shape: ReadonlyArray<number>,
    dtype: tf.DataType,
    values?: tf.BackendValues | Array<string>
  ): tf.TensorInfo {
    const dataId = {}
    this.#store(dataId, shape, dtype, values)
    return { dataId, shape: [...shape], dtype }
  }

  /** Another tensor over the same numbers. */
  alias(x: tf.TensorInfo, shape: ReadonlyArray<number>): tf.TensorInfo {
    this.incRef(x.dataId)
    return { dataId: x.dataId, shape: [...shape], dtype: x.dtype }
  }

  /** Address of a tensor's first element. */
  at(x: tf.TensorInfo): number {
    return this.data.get(x.dataId).address
  }

  /** A view of an int32 tensor's numbers, for work that depends on them. */
  ints(x: tf.TensorInfo): Int32Array {
    this.pool.recording?.refuse("it depends on an array's numbers")
    const { numbers } = this.data.get(x.dataId)
    if (numbers instanceof Int32Array) return numbers
    throw new TypeError(`expected an int32 tensor of shape [${x.shape.join(", ")}], got ${x.dtype}`)
  }

  override refCount(dataId: object): number {
    return this.data.has(dataId) ? this.data.get(dataId).refCount : 0
  }

  override incRef(dataId: object): void {
    this.data.get(dataId).refCount++
  }

  decRef(dataId: object): void {
    if (this.data.has(dataId)) this.data.get(dataId).refCount--
  }

  override disposeData(dataId: object, force = false): boolean {
    if (!this.data.has(dataId)) return true
    const data = this.data.get(dataId)
    data.refCount--
    if (!force && data.refCount > 0) return false
    if (data.complexTensorInfos !== undefined) {
      this.disposeData(data.complexTensorInfos.real.dataId, true)
      this.disposeData(data.complexTensorInfos.imag.dataId, true)
    }
    this.data.delete(dataId)
    this.#forget(data)
    if (data.address !== 0) this.pool.release(data.address)
    if (this.#whenEmpty !== undefined && this.numDataIds() === 0) {
      // Not now: tfjs is in the middle of disposing.
      queueMicrotask(this.#whenEmpty)
      this.#whenEmpty = undefined
    }
    return true
  }

  disposeIntermediateTensorInfo(info: tf.TensorInfo): void {
    this.disposeData(info.dataId)
  }

  override readSync(dataId: object): tf.BackendValues {
    this.pool.recording?.refuse("it reads a tensor")
    const { complexTensorInfos, dtype, numbers, strings } = this.#entry(dataId)
    if (dtype === "complex64" && complexTensorInfos !== undefined) {
      const real = this.readSync(complexTensorInfos.real.dataId)
      const imag = this.readSync(complexTensorInfos.imag.dataId)
      if (real instanceof Float32Array && imag instanceof Float32Array) {
        return tf.backend_util.mergeRealAndImagArrays(real, imag)
      }
    }
    if (strings !== undefined) return strings.map((s) => typeof s === "string" ? new TextEncoder().encode(s) : s)
    return numbers.slice()
  }

  override async read(dataId: object): Promise<tf.BackendValues> {
    return this.readSync(dataId)
  }

  bufferSync(x: tf.TensorInfo): tf.TensorBuffer<tf.Rank, tf.DataType> {
    const { strings } = this.data.get(x.dataId)
    if (strings !== undefined) {
      const decoded = strings.map((s) => typeof s === "string" ? s : new TextDecoder().decode(s))
      return new tf.TensorBuffer<tf.Rank, tf.DataType>(x.shape, "string", decoded)
    }
    const values = this.readSync(x.dataId)
    if (isNumbers(values)) return new tf.TensorBuffer<tf.Rank, tf.DataType>(x.shape, x.dtype, values)
    throw new TypeError(`cannot buffer a tensor of ${x.dtype}`)
  }

  makeOutput(values: tf.BackendValues, shape: Array<number>, dtype: tf.DataType): tf.Tensor {
    return tf.engine().makeTensorFromTensorInfo(this.makeTensorInfo(shape, dtype, values), this)
  }

  override numDataIds(): number {
    return this.data.numDataIds()
  }

  override memory(): { unreliable: boolean } {
    return { unreliable: false }
  }

  override timerAvailable(): boolean {
    return true
  }

  override async time(f: () => void): Promise<tf.BackendTimingInfo> {
    const start = performance.now()
    f()
    return { kernelMs: performance.now() - start }
  }

  override floatPrecision(): 16 | 32 {
    return 32
  }

  override epsilon(): number {
    return 1e-7
  }

  override dispose(): void {}

  /** Calls back once the last tensor is gone: owners of tensors may outlive the device's own scope. */
  retire(whenEmpty: () => void): void {
    if (this.numDataIds() === 0) whenEmpty()
    else this.#whenEmpty = whenEmpty
  }

  #entry(dataId: object): TensorData {
    return this.data.get(dataId)
  }
}
