// The job protocol between the calling thread and its workers, over the shared memory that every instance imports.
//
// One job runs at a time. The caller writes the kernel's arguments, then publishes `REMAINING = chunks`; whoever
// decrements it to a positive value owns one chunk. Which thread runs a chunk never changes its result. A chunk's
// number depends on the shapes only, so results do not depend on the number of threads either.
import { runChunk } from "./dispatch"
import { initConstants } from "./simd"

/** Fixed addresses, mirrored in src/layers/device/wasm/abi.ts. One cache line each where threads contend. */
export const REMAINING: usize = 1024
export const DONE: usize = 1088
export const SEQUENCE: usize = 1152
export const SLEEPERS: usize = 1216
export const STOP: usize = 1280
export const DEAD: usize = 1344
/** 1 where V8 joins vectors to 256 bits, which wants wider register tiles. */
export const WIDE: usize = 1392
export const JOB: usize = 1408
export const ARGS: usize = 1472
export const SCRATCH: usize = 2048

/** Rounds an idle worker spins before it sleeps on the futex: some 100 microseconds. */
const WORKER_SPINS: i32 = 40000
/** Rounds the caller spins for the last chunks of others before it sleeps. */
const CALLER_SPINS: i32 = 20000
/** How long the caller waits for a worker that makes no progress: 60 slices of half a second. */
const SLICE_NS: i64 = 500000000
const SLICES: i32 = 60

let thread: i32 = 0

/** Argument `k` of the current job. */
// @ts-ignore: decorator
@inline
export function argI(k: i32): i32 {
  return load<i32>(ARGS + ((<usize>k) << 2))
}

// @ts-ignore: decorator
@inline
export function argF(k: i32): f32 {
  return load<f32>(ARGS + ((<usize>k) << 2))
}

// @ts-ignore: decorator
@inline
export function argP(k: i32): usize {
  return <usize>load<u32>(ARGS + ((<usize>k) << 2))
}

/** This thread's own scratch memory (64-byte aligned; its size is the caller's to ensure). */
// @ts-ignore: decorator
@inline
export function scratch(): usize {
  return <usize>load<u32>(SCRATCH + ((<usize>thread) << 2))
}

// @ts-ignore: decorator
@inline
export function isWide(): bool {
  return load<i32>(WIDE) != 0
}

/** Says which thread an instance is: 0 is the caller. */
export function initThread(id: i32): void {
  thread = id
  initConstants()
}

function work(): void {
  if (atomic.load<i32>(REMAINING) <= 0) return
  while (true) {
    const left = atomic.sub<i32>(REMAINING, 1)
    if (left <= 0) return
    const kernel = load<i32>(JOB)
    const chunks = load<i32>(JOB, 4)
    runChunk(kernel, chunks - left)
    if (atomic.add<i32>(DONE, 1) + 1 == chunks) atomic.notify(DONE, 1)
  }
}

/** Runs `chunks` chunks of a kernel on all threads and returns when all are done: 0, or 1 when a worker was lost. */
export function run(kernel: i32, chunks: i32, threads: i32): i32 {
  if (threads <= 1 || chunks <= 1) {
    for (let i = 0; i < chunks; i++) runChunk(kernel, i)
    return 0
  }
  if (atomic.load<i32>(DEAD) != 0) return 1
  store<i32>(JOB, kernel)
  store<i32>(JOB, chunks, 4)
  atomic.store<i32>(DONE, 0)
  atomic.store<i32>(REMAINING, chunks)
  atomic.add<i32>(SEQUENCE, 1)
  const sleepers = atomic.load<i32>(SLEEPERS)
  if (sleepers > 0) atomic.notify(SEQUENCE, sleepers)
  work()
  let spins = CALLER_SPINS
  let slices = SLICES
  let before = 0
  while (true) {
    const done = atomic.load<i32>(DONE)
    if (done == chunks) return 0
    if (spins > 0) {
      spins--
      continue
    }
    if (atomic.load<i32>(DEAD) != 0) return 1
    if (done != before) {
      before = done
      slices = SLICES
    }
    if (atomic.wait<i32>(DONE, done, SLICE_NS) == 2 && --slices == 0) return 1
  }
}

/** The life of a worker: spin for a job, then sleep until there is one. Returns when the pool stops. */
export function workerLoop(): void {
  while (true) {
    const sequence = atomic.load<i32>(SEQUENCE)
    if (atomic.load<i32>(STOP) != 0) return
    work()
    let spins = WORKER_SPINS
    while (spins > 0 && atomic.load<i32>(SEQUENCE) == sequence) spins--
    if (spins == 0) {
      atomic.add<i32>(SLEEPERS, 1)
      atomic.wait<i32>(SEQUENCE, sequence, -1)
      atomic.sub<i32>(SLEEPERS, 1)
    }
  }
}
