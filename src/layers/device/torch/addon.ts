/**
 * The native addon over libtorch (`native/torch`), as JavaScript sees it.
 *
 * @since 0.1.0
 */
import { createRequire } from "node:module"

/**
 * A tensor behind the addon: a number that must be released. 0 is no tensor.
 *
 * @category models
 * @since 0.1.0
 */
export type Handle = number

/**
 * What an operator of ATen takes; its schema says which numbers are handles.
 *
 * @category models
 * @since 0.1.0
 */
export type Value = number | boolean | string | null | undefined | ReadonlyArray<number | null>

/**
 * What an operator of ATen gives back.
 *
 * @category models
 * @since 0.1.0
 */
export type Result = Handle | boolean | undefined | ReadonlyArray<Result>

/**
 * Element types, by ATen's numbers.
 *
 * @category constants
 * @since 0.1.0
 */
export const scalarType = { byte: 0, int32: 3, int64: 4, float32: 6, bool: 11, bfloat16: 15 } as const

/**
 * @category models
 * @since 0.1.0
 */
export type HostArray = Float32Array | Float64Array | Int32Array | Uint8Array | Uint16Array | BigInt64Array

/**
 * Bytes on a card: in tensors, their highest so far, taken from the card, free on it, and all that it has.
 *
 * @category models
 * @since 0.1.0
 */
export interface CardMemory {
  readonly allocated: number
  readonly peak: number
  readonly reserved: number
  readonly free: number
  readonly total: number
}

/**
 * The addon's functions. All throw errors with a `code`: `OUT_OF_MEMORY`, `ATEN` (with `operator` and `shapes`) or
 * `MISUSE`. Functions on streams, events, graphs and card memory need a build with CUDA and a card in use.
 *
 * @category models
 * @since 0.1.0
 */
export interface Addon {
  readonly torchVersion: string
  readonly cudaBuilt: boolean
  /** The id of an operator, for `call`. */
  op(name: string, overload: string): number
  hasOp(name: string, overload: string): boolean
  schema(op: number): string
  call(op: number, ...args: ReadonlyArray<Value>): Result
  /** Copies a typed array to the device of this thread. */
  fromData(values: HostArray, shape: ReadonlyArray<number>, type?: number): Handle
  write(handle: Handle, values: HostArray): void
  /** Fills the typed array; waits for the device. */
  read<A extends HostArray>(handle: Handle, into: A): A
  reshape(handle: Handle, shape: ReadonlyArray<number>): Handle
  shape(handle: Handle): Array<number>
  dtype(handle: Handle): number
  release(...handles: ReadonlyArray<Handle>): void
  /** Tensors made from here to `endScope` are released there, but for those it is given. */
  beginScope(): void
  endScope(...keep: ReadonlyArray<Handle>): void
  /** Takes tensors out of the open scopes. */
  keep(...handles: ReadonlyArray<Handle>): void
  live(): { readonly tensors: number; readonly bytes: number }
  gradMode(enabled: boolean): void
  threads(count?: number): number
  device(name: string): void
  /** From here on what operators do is written down, on a processor only. */
  beginRecording(inputs: ReadonlyArray<Handle>): void
  /** A program that repeats what was written down. Without outputs the recording is given up. */
  endRecording(outputs?: ReadonlyArray<Handle>): number
  /** Repeats a computation on other values of its inputs; returns its outputs. */
  runProgram(program: number, inputs: ReadonlyArray<HostArray>): Array<Handle>
  releaseProgram(program: number): void
  settle(): Promise<void>
  synchronize(): void
  cudaDevices(): number
  newStream(): number
  useStream(stream: number): void
  newEvent(): number
  recordEvent(event: number): void
  waitEvent(event: number): void
  /** Milliseconds between two recorded events. */
  elapsed(from: number, to: number): number
  releaseEvent(event: number): void
  newPool(): number
  beginCapture(pool: number): void
  endCapture(): number
  replay(graph: number): void
  releaseGraph(graph: number): void
  memory(): CardMemory
  resetPeak(): void
  emptyCache(): void
  memoryFraction(fraction: number): void
  allowTf32(allowed: boolean): void
  cardName(): string
}

const isAddon = (value: unknown): value is Addon =>
  typeof value === "object" && value !== null && "op" in value && "call" in value && "runProgram" in value

/**
 * PyTorch's threads wait for the next loop of theirs without sleeping: by their own measure for milliseconds, in which
 * they take the processor from whoever works. What lies between two loops of one computation takes microseconds.
 */
const waitShortly = (): void => {
  const { env } = process
  if (env.OMP_WAIT_POLICY === undefined && env.GOMP_SPINCOUNT === undefined) env.GOMP_SPINCOUNT = "1000"
}

/**
 * Loads a built addon into this thread. Throws where the file, or the PyTorch that it was built against, is gone.
 *
 * @category constructors
 * @since 0.1.0
 */
export const loadAddon = (file: string): Addon => {
  waitShortly()
  const loaded: unknown = createRequire(import.meta.url)(file)
  if (!isAddon(loaded)) throw new TypeError(`${file} is not the torch addon of this version of the package`)
  return loaded
}
