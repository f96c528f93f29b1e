// The job protocol between the calling thread and its workers, over the shared memory that every instance imports.
//
// A job is a program: commands that follow one another in memory, each some chunks of one kernel with its arguments. One
// job runs at a time. The caller publishes `TICKETS = chunks of all commands`; whoever decrements it to a positive value
// owns one chunk, and begins it when the chunks of all commands before its own are done. Which thread runs a chunk never
// changes its result. A chunk's number depends on the shapes only, so results do not depend on the number of threads either.
import { runChunk } from "./dispatch"
import { initConstants } from "./simd"

/** Fixed addresses, mirrored in src/layers/device/wasm/abi.ts. One cache line each where threads contend. */
export const TICKETS: usize = 1024
export const DONE: usize = 1088
export const SEQUENCE: usize = 1152
/** Workers that sleep until there is a job, and threads that sleep until chunks of the running one are done. */
export const SLEEPERS: usize = 1216
export const WAITERS: usize = 1220
export const STOP: usize = 1280
export const DEAD: usize = 1344
/** 1 where V8 joins vectors to 256 bits, which wants wider register tiles. */
export const WIDE: usize = 1392
/** Milliseconds that the caller waits for a worker that makes no progress. */
export const PATIENCE: usize = 1400
/** The job: address of its first command, chunks of all commands, and how many jobs there were before. */
export const JOB: usize = 1408
/** Where the caller puts a job of one command. */
export const COMMAND: usize = 1472
export const SCRATCH: usize = 2048

/** Bytes of a command: kernel, chunks, chunks of all commands before it, one word unused, 28 arguments. */
const COMMAND_BYTES: usize = 128
const HEADER_BYTES: usize = 16

/** Rounds an idle worker spins before it sleeps on the futex: some 100 microseconds. */
const WORKER_SPINS: i32 = 40000
/** Rounds a thread spins for chunks of others before it sleeps. */
const CHUNK_SPINS: i32 = 20000
/** Longest sleep of the caller before it looks whether a worker has died. */
const SLICE_MS: i32 = 500

let thread: i32 = 0
/** Arguments of the command that this thread runs. */
let args: usize = COMMAND + HEADER_BYTES

/** Argument `k` of the current command. */
// @ts-ignore: decorator
@inline
export function argI(k: i32): i32 {
  return load<i32>(args + ((<usize>k) << 2))
}

// @ts-ignore: decorator
@inline
export function argF(k: i32): f32 {
  return load<f32>(args + ((<usize>k) << 2))
}

// @ts-ignore: decorator
@inline
export function argP(k: i32): usize {
  return <usize>load<u32>(args + ((<usize>k) << 2))
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

// @ts-ignore: decorator
@inline
function runCommandChunk(command: usize, index: i32): void {
  args = command + HEADER_BYTES
  runChunk(load<i32>(command), index)
}

/**
 * Waits until `target` chunks of the running job are done. False when a worker has died; for the caller also when no chunk
 * was done for longer than its patience.
 */
function waitFor(target: i32): bool {
  for (let spins = CHUNK_SPINS; spins > 0; spins--) {
    if (atomic.load<i32>(DONE) >= target) return true
  }
  const patience = load<i32>(PATIENCE)
  const slice = min(SLICE_MS, patience)
  let waited = 0
  let before = -1
  // Whoever finishes a chunk looks for waiters after it has counted the chunk, so none sleeps through the last one.
  atomic.add<i32>(WAITERS, 1)
  let reached = false
  while (true) {
    const done = atomic.load<i32>(DONE)
    reached = done >= target
    if (reached || atomic.load<i32>(DEAD) != 0) break
    if (done != before) waited = 0
    before = done
    if (atomic.wait<i32>(DONE, done, <i64>slice * 1000000) != 2) continue
    waited += slice
    if (thread == 0 && waited >= patience) break
  }
  atomic.sub<i32>(WAITERS, 1)
  return reached
}

/** Runs chunks of the published job until none is left; false when it cannot go on. */
function work(): bool {
  if (atomic.load<i32>(TICKETS) <= 0) return true
  let job = -1
  let command: usize = 0
  while (true) {
    const left = atomic.sub<i32>(TICKETS, 1)
    if (left <= 0) return true
    // Only now does the job stand still: it ends when this chunk is done.
    if (load<i32>(JOB, 8) != job) {
      job = load<i32>(JOB, 8)
      command = <usize>load<u32>(JOB)
    }
    const ticket = load<i32>(JOB, 4) - left
    while (ticket >= load<i32>(command, 4) + load<i32>(command, 8)) command += COMMAND_BYTES
    const first = load<i32>(command, 8)
    if (first > 0 && !waitFor(first)) return false
    runCommandChunk(command, ticket - first)
    atomic.add<i32>(DONE, 1)
    if (atomic.load<i32>(WAITERS) > 0) atomic.notify(DONE, -1)
  }
}

/**
 * Runs a program of so many commands and so many chunks in all on all threads and returns when all are done: 0, or 1 when
 * a worker was lost.
 */
export function run(program: usize, commands: i32, chunks: i32, threads: i32): i32 {
  if (threads <= 1 || chunks <= 1) {
    for (let i = 0; i < commands; i++) {
      const own = load<i32>(program, 4)
      for (let chunk = 0; chunk < own; chunk++) runCommandChunk(program, chunk)
      program += COMMAND_BYTES
    }
    return 0
  }
  if (atomic.load<i32>(DEAD) != 0) return 1
  store<u32>(JOB, <u32>program)
  store<i32>(JOB, chunks, 4)
  store<i32>(JOB, load<i32>(JOB, 8) + 1, 8)
  atomic.store<i32>(DONE, 0)
  atomic.store<i32>(TICKETS, chunks)
  atomic.add<i32>(SEQUENCE, 1)
  const sleepers = atomic.load<i32>(SLEEPERS)
  if (sleepers > 0) atomic.notify(SEQUENCE, sleepers)
  return work() && waitFor(chunks) ? 0 : 1
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
