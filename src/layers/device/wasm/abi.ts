/**
 * What the kernels and their callers agree on: fixed addresses and kernel numbers (kernels/runtime.ts, dispatch.ts).
 *
 * @since 0.1.0
 */

/** Byte addresses in the low page of the memory. */
export const address = {
  tickets: 1024,
  done: 1088,
  sequence: 1152,
  stop: 1280,
  dead: 1344,
  wide: 1392,
  ready: 1396,
  patience: 1400,
  section: 1472,
  command: 1536,
  scratch: 2048,
  heap: 65536
} as const

/** Words of a section: address of its first command, commands, tickets, tickets of the sections before it. */
export const sectionWords = 4

/** Layout of a command in words: kernel, chunks, chunks a ticket, one unused, arguments. */
export const command = { words: 32, header: 4, args: 28 } as const

/** At most this many threads share a memory: the size of the scratch table. */
export const maxThreads = 64

/** Where accumulators of a matrix product start. */
export const init = { zero: 0, c: 1, from: 2 } as const

/** Numbers of the kernels in kernels/dispatch.ts. */
export const kernel = {
  gemm: 1,
  rmsNorm: 2,
  rmsNormGrad: 3,
  rope: 4,
  swiGlu: 5,
  swiGluGrad: 6,
  attention: 7,
  attentionGrad: 8,
  pagedAttention: 9,
  kvAppend: 10,
  logProbTile: 11,
  logProbGradTile: 12,
  adamW: 13,
  sumSquares: 14,
  sample: 15,
  binary: 16,
  unary: 17,
  reduce: 18,
  softmax: 19,
  gather: 20,
  scatterAdd: 21,
  stridedCopy: 22,
  fill: 23,
  pack: 24
} as const

/**
 * What a compiled kernel module exports.
 *
 * @internal
 */
export interface KernelExports {
  readonly initThread: (id: number) => void
  readonly run: (program: number, sections: number, tickets: number, threads: number) => number
  readonly workerLoop: () => void
}

/**
 * The part of `WebAssembly.Memory` that is used.
 *
 * @internal
 */
export interface WasmMemory {
  readonly buffer: ArrayBufferLike
  grow(pages: number): number
}

const float = new Float32Array(1)
const word = new Int32Array(float.buffer)

/** The bits of a float32 argument. */
export const bits = (value: number): number => {
  float[0] = value
  return word[0] ?? 0
}
