/**
 * The compiled kernels on one shared memory, and the threads that run them.
 *
 * @since 0.1.0
 */
// The compiled kernels are read where nothing may wait: tfjs kernels are synchronous, and so is what makes them.
// @effect-diagnostics nodeBuiltinImport:off
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"
import * as v8 from "node:v8"
import { Worker } from "node:worker_threads"
import { DeviceFailed, OutOfDeviceMemory } from "../../../services/Device.ts"
import { address, command, type KernelExports, maxThreads, type WasmMemory } from "./abi.ts"
import { Heap } from "./Heap.ts"
import type { Command, Recording } from "./Recording.ts"

declare const WebAssembly: {
  readonly Memory: new(limits: { initial: number; maximum: number; shared: boolean }) => WasmMemory
  readonly Module: new(bytes: Uint8Array) => object
  readonly Instance: new(
    module: object,
    imports: { env: { memory: WasmMemory } }
  ) => { readonly exports: KernelExports }
  readonly validate: (bytes: Uint8Array) => boolean
}

const page = 65536
/** 4 GiB, or what of it the process may reserve addresses for. */
const maximumPages = [65536, 32768, 16384, 4096]
/** Memory is asked for in steps of at least 16 MiB: growing stops all threads for a moment. */
const growthPages = 256
/** Kernels may read a vector beyond the last element of a tensor, so the last bytes of memory belong to nobody. */
const slackBytes = 1024

/**
 * Which kernels run, on how many threads, in how much memory.
 *
 * @category models
 * @since 0.1.0
 */
export interface PoolOptions {
  /** Name of the device in errors. */
  readonly device: string
  /** Threads, the caller's own included. */
  readonly threads: number
  /** Fused multiply-add instructions where the engine has them. */
  readonly relaxedSimd: boolean
  /** Lets V8 join pairs of 128-bit instructions into 256-bit ones. */
  readonly wideVectors: boolean
  readonly limitBytes: number
  /** How long to wait for a worker that makes no progress before the device counts as lost. Default half a minute. */
  readonly patienceMs?: number
}

/** How rows or elements are shared out. */
export interface Share {
  readonly each: number
  readonly chunks: number
  /** Chunks a lane, 0 where chunks are no lanes. */
  readonly lane: number
}

/** V8 12 (Node 22) has the switch too, but the code it makes then is four times slower than without. */
const canWiden = process.arch === "x64" && Number.parseInt(process.versions.v8, 10) >= 13

/** A worker's whole program. It is text, so that it runs from sources, from a build and from a bundle alike. */
const workerSource = `
const { workerData } = require("node:worker_threads")
const control = new Int32Array(workerData.memory.buffer, 0, 1024)
try {
  const { exports } = new WebAssembly.Instance(workerData.module, { env: { memory: workerData.memory } })
  exports.initThread(workerData.id)
  Atomics.add(control, ${address.ready / 4}, 1)
  Atomics.notify(control, ${address.ready / 4})
  exports.workerLoop()
} catch (error) {
  Atomics.store(control, ${address.dead / 4}, 1)
  Atomics.notify(control, ${address.done / 4})
  throw error
}
`

/** The largest memory that can be had. */
const reserve = (): { readonly memory: WasmMemory; readonly maximum: number } => {
  for (const maximum of maximumPages) {
    try {
      return { memory: new WebAssembly.Memory({ initial: growthPages, maximum, shared: true }), maximum }
    } catch (cause) {
      if (maximum === maximumPages.at(-1)) throw cause
    }
  }
  throw new RangeError("there is no size to try")
}

const readKernels = (name: "relaxed" | "plain"): Uint8Array => {
  // From src/layers/device/wasm and from dist/layers/device/wasm alike.
  return fs.readFileSync(fileURLToPath(new URL(`../../../../assets/kernels/${name}.wasm`, import.meta.url)))
}

const load = (relaxedSimd: boolean): { readonly module: object; readonly relaxedSimd: boolean } => {
  if (relaxedSimd) {
    const bytes = readKernels("relaxed")
    if (WebAssembly.validate(bytes)) return { module: new WebAssembly.Module(bytes), relaxedSimd: true }
  }
  return { module: new WebAssembly.Module(readKernels("plain")), relaxedSimd: false }
}

/**
 * Kernels, memory and threads of one device. Its methods throw the errors of the `Device` service: they run inside
 * tfjs kernels, which are synchronous.
 *
 * @category models
 * @since 0.1.0
 */
export class Pool {
  readonly memory: WasmMemory
  readonly heap: Heap
  readonly relaxedSimd: boolean
  /** Why there are fewer threads than asked for. */
  readonly threadsRefused: string | undefined
  /** The memory as the caller's views see it; replaced when the memory grows. */
  i32: Int32Array
  f32: Float32Array
  u8: Uint8Array
  threads = 1
  /** Gives back memory that only saves time; says whether there was any. */
  reclaim: () => boolean = () => false
  /** What writes down the kernel calls, while a computation is recorded. */
  recording: Recording | undefined = undefined
  readonly limitBytes: number

  readonly #options: PoolOptions
  readonly #maximum: number
  readonly #exports: KernelExports
  /** The other threads. */
  readonly workers: Array<Worker> = []
  readonly #temporaries: Array<number> = []
  #scratchBytes = 0
  #scratch = 0
  #lost: string | undefined = undefined
  #closed = false

  constructor(options: PoolOptions) {
    this.#options = options
    const wide = options.wideVectors && canWiden
    // A process-wide switch of V8, read whenever it optimises a WebAssembly function.
    if (wide) v8.setFlagsFromString("--experimental-wasm-revectorize")
    const { maximum, memory } = reserve()
    this.memory = memory
    this.#maximum = maximum
    this.limitBytes = Math.min(options.limitBytes, (maximum - 2) * page)
    const { module, relaxedSimd } = load(options.relaxedSimd)
    this.relaxedSimd = relaxedSimd
    this.#exports = new WebAssembly.Instance(module, { env: { memory: this.memory } }).exports
    this.#exports.initThread(0)
    this.i32 = new Int32Array(this.memory.buffer)
    this.f32 = new Float32Array(this.memory.buffer)
    this.u8 = new Uint8Array(this.memory.buffer)
    this.i32[address.wide / 4] = wide ? 1 : 0
    this.i32[address.patience / 4] = options.patienceMs ?? 30_000
    this.heap = new Heap(address.heap, growthPages * page - slackBytes, (bytes) => this.#grow(bytes))
    let refused: string | undefined
    try {
      for (let id = 1; id < Math.min(options.threads, maxThreads); id++) this.#start(module, id)
      this.threads = this.workers.length + 1
    } catch (cause) {
      refused = cause instanceof Error ? cause.message : String(cause)
      void this.#stop()
    }
    this.threadsRefused = refused
    this.ensureScratch(1 << 20)
  }

  /** Why the device has ended, if it has. */
  get failure(): string | undefined {
    return this.#lost
  }

  /** The address of a block, or `OutOfDeviceMemory`. */
  allocate(bytes: number): number {
    return this.recording?.allocate(bytes) ?? this.allocateOwn(bytes)
  }

  /** Gives a block back. */
  release(at: number): void {
    if (this.recording?.release(at) !== true) this.heap.release(at)
  }

  /** {@link allocate} for what is no part of a computation that is being recorded. */
  allocateOwn(bytes: number): number {
    const take = () => this.heap.liveBytes + bytes > this.limitBytes ? 0 : this.heap.allocate(bytes)
    let at = take()
    if (at === 0 && this.reclaim()) at = take()
    if (at === 0) {
      throw new OutOfDeviceMemory({
        device: this.#options.device,
        requestedBytes: bytes,
        usedBytes: this.heap.liveBytes,
        limitBytes: this.limitBytes
      })
    }
    return at
  }

  /** Memory until the end of the running kernel, whether it succeeds or fails. */
  temporary(bytes: number): number {
    const at = this.allocate(Math.max(1, bytes))
    this.#temporaries.push(at)
    return at
  }

  /** How many temporaries there are, for `releaseTemporaries`. */
  get temporaries(): number {
    return this.#temporaries.length
  }

  /** Gives back all temporaries but the first `keep`. */
  releaseTemporaries(keep: number): void {
    while (this.#temporaries.length > keep) this.release(this.#temporaries.pop()!)
  }

  /** Makes sure that every thread has that much scratch memory. */
  ensureScratch(bytes: number): void {
    if (bytes <= this.#scratchBytes) return
    if (this.#scratch !== 0) this.heap.release(this.#scratch)
    this.#scratch = 0
    this.#scratchBytes = 0
    // An odd number of cache lines apart, or the threads' buffers fall on the same cache sets.
    const each = (Math.ceil(bytes / 4096) * 4096) + 4160
    this.#scratch = this.allocateOwn(each * this.threads)
    this.#scratchBytes = bytes
    for (let id = 0; id < this.threads; id++) this.i32[address.scratch / 4 + id] = this.#scratch + id * each
  }

  /**
   * How many of `units` rows or elements a chunk takes: `usual`, or in a recorded computation those of a lane, provided that
   * they are a multiple of `aligned`.
   */
  share(units: number, usual: number, aligned = 1): Share {
    const own = this.recording?.lane(units)
    const isLane = own !== undefined && own % aligned === 0
    const each = isLane ? own : usual
    return { each, chunks: Math.ceil(units / each), lane: isLane ? 1 : 0 }
  }

  /** Whether a computation that is being recorded has made one of these: then no lane may read all of it. */
  madeHere(...addresses: ReadonlyArray<number>): boolean {
    return this.recording !== undefined && addresses.some((at) => this.recording?.made(at) === true)
  }

  /**
   * Runs all chunks of a kernel, whose arguments `args` (32-bit words; addresses as they are) describe. `lane` says how many
   * chunks make a lane of a recorded computation, where they do.
   */
  run(kernel: number, chunks: number, args: ReadonlyArray<number>, lane = 0): void {
    if (chunks <= 0) return
    this.recording?.commands.push({ kernel, chunks, args, lane })
    this.writeCommand(address.command, { kernel, chunks, args, lane: 0 })
    this.writeSection(address.section, address.command, 1, chunks, 0)
    this.execute(address.section, 1, chunks)
  }

  writeCommand(at: number, { args, chunks, kernel, lane }: Command): void {
    const { i32 } = this
    const word = at >>> 2
    i32[word] = kernel
    i32[word + 1] = chunks
    i32[word + 2] = lane === 0 ? 1 : lane
    for (let i = 0, to = word + command.header; i < args.length; i++, to++) i32[to] = args[i]!
  }

  /** Writes a section of `commands` from an address on, before which there are `before` tickets. */
  writeSection(at: number, from: number, commands: number, tickets: number, before: number): void {
    const { i32 } = this
    const word = at >>> 2
    i32[word] = from
    i32[word + 1] = commands
    i32[word + 2] = tickets
    i32[word + 3] = before
  }

  /** Runs a program of sections one after another in memory, with `tickets` in all. */
  execute(program: number, sections: number, tickets: number): void {
    if (this.#lost !== undefined) throw this.#failed()
    let status = 1
    try {
      status = this.#exports.run(program, sections, tickets, this.threads)
    } catch (cause) {
      this.#lost = cause instanceof Error ? cause.message : String(cause)
      throw this.#failed()
    }
    if (status !== 0) {
      this.#lost ??= "a worker thread ended or did not answer"
      throw this.#failed()
    }
  }

  /** Resolves when all workers run, which tests and benchmarks wait for; nothing else has to. */
  async ready(): Promise<void> {
    const deadline = performance.now() + 10000
    while (
      Atomics.load(this.i32, address.ready / 4) < this.workers.length && this.failure === undefined &&
      performance.now() < deadline
    ) {
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /**
   * Ends the other threads; what is left to do, such as disposing of tensors, the caller's thread does alone. The memory
   * goes with the last reference to it.
   */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.threads = 1
    await this.#stop()
  }

  #failed(): DeviceFailed {
    return new DeviceFailed({ device: this.#options.device, reason: this.failure ?? "unknown" })
  }

  #grow(bytes: number): number {
    const current = this.memory.buffer.byteLength / page
    const least = Math.ceil(bytes / page)
    const wanted = Math.max(least, growthPages, Math.ceil(current / 4))
    for (const pages of [Math.min(wanted, this.#maximum - current), least]) {
      if (pages < least) continue
      try {
        this.memory.grow(pages)
      } catch {
        continue
      }
      this.i32 = new Int32Array(this.memory.buffer)
      this.f32 = new Float32Array(this.memory.buffer)
      this.u8 = new Uint8Array(this.memory.buffer)
      return pages * page
    }
    return 0
  }

  #start(module: object, id: number): void {
    const worker = new Worker(workerSource, {
      eval: true,
      execArgv: [],
      name: `search-r1-kernels-${id}`,
      workerData: { module, memory: this.memory, id }
    })
    this.workers.push(worker)
    worker.unref()
    const lost = (reason: string) => {
      if (this.#closed) return
      this.#lost ??= reason
      Atomics.store(this.i32, address.dead / 4, 1)
    }
    worker.on("error", (cause) => lost(cause instanceof Error ? cause.message : String(cause)))
    worker.on("exit", (code) => lost(`worker thread ${id} ended with code ${code}`))
  }

  async #stop(): Promise<void> {
    Atomics.store(this.i32, address.stop / 4, 1)
    Atomics.add(this.i32, address.sequence / 4, 1)
    Atomics.notify(this.i32, address.sequence / 4)
    await Promise.all(this.workers.splice(0).map((worker) => worker.terminate()))
  }
}
