// The job protocol between the calling thread and its workers, over the shared memory that every instance imports.
//
// A job is a program: sections, each of some commands that follow one another in memory, each of these some chunks of one
// kernel with its arguments. One job runs at a time. The caller publishes `TICKETS = tickets of all sections`; whoever
// decrements it to a positive value owns one, and begins it when all tickets of the sections before are done. A ticket is
// a share of every command in its section: chunk after chunk where the section is one command, a lane of rows through
// all of them where no row depends on another. Which thread runs a chunk never changes its result, nor does the number of
// chunks.
import { runChunk } from "./dispatch"
import { initConstants } from "./simd"

/** Fixed addresses, mirrored in src/layers/device/wasm/abi.ts. One cache line each where threads contend. */
export const TICKETS: usize = 1024
export const DONE: usize = 1088
export const SEQUENCE: usize = 1152
/** Workers that sleep until there is a job, and threads that sleep until tickets of the running one are done. */
export const SLEEPERS: usize = 1216
export const WAITERS: usize = 1220
export const STOP: usize = 1280
export const DEAD: usize = 1344
/** 1 where V8 joins vectors to 256 bits, which wants wider register tiles. */
export const WIDE: usize = 1392
/** Milliseconds that the caller waits for a worker that makes no progress. */
export const PATIENCE: usize = 1400
/** The job: address of its first section, tickets of all sections, and how many jobs there were before. */
export const JOB: usize = 1408
/** Where the caller puts the section and the command of a job of one command. */
export const SECTION: usize = 1472
export const COMMAND: usize = 1536
export const SCRATCH: usize = 2048

/** Bytes of a section: address of its first command, commands, tickets, tickets of all sections before it. */
const SECTION_BYTES: usize = 16
/** Bytes of a command: kernel, chunks, chunks a ticket, one word unused, 28 arguments. */
const COMMAND_BYTES: usize = 128
const HEADER_BYTES: usize = 16

/** Rounds an idle worker spins before it sleeps on the futex: some 100 microseconds. */
const WORKER_SPINS: i32 = 40000
/** Rounds a thread spins for tickets of others before it sleeps. */
const TICKET_SPINS: i32 = 20000
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

/** Runs one ticket of a section: its share of each command. */
function runTicket(section: usize, ticket: i32): void {
  let command = <usize>load<u32>(section)
  for (let commands = load<i32>(section, 4); commands > 0; commands--) {
    const kernel = load<i32>(command), per = load<i32>(command, 8)
    args = command + HEADER_BYTES
    const end = min((ticket + 1) * per, load<i32>(command, 4))
    for (let chunk = ticket * per; chunk < end; chunk++) runChunk(kernel, chunk)
    command += COMMAND_BYTES
  }
}

/**
 * Waits until `target` tickets of the running job are done. False when a worker has died; for the caller also when none
 * was done for longer than its patience.
 */
function waitFor(target: i32): bool {
  for (let spins = TICKET_SPINS; spins > 0; spins--) {
    if (atomic.load<i32>(DONE) >= target) return true
  }
  const patience = load<i32>(PATIENCE)
  const slice = min(SLICE_MS, patience)
  let waited = 0
  let before = -1
  // Whoever finishes a ticket looks for waiters after it has counted it, so none sleeps through the last one.
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

/** Runs tickets of the published job until none is left; false when it cannot go on. */
function work(): bool {
  if (atomic.load<i32>(TICKETS) <= 0) return true
  let job = -1
  let section: usize = 0
  while (true) {
    const left = atomic.sub<i32>(TICKETS, 1)
    if (left <= 0) return true
    // Only now does the job stand still: it ends when this ticket is done.
    if (load<i32>(JOB, 8) != job) {
      job = load<i32>(JOB, 8)
      section = <usize>load<u32>(JOB)
    }
    const ticket = load<i32>(JOB, 4) - left
    while (ticket >= load<i32>(section, 8) + load<i32>(section, 12)) section += SECTION_BYTES
    const before = load<i32>(section, 12)
    if (before > 0 && !waitFor(before)) return false
    runTicket(section, ticket - before)
    atomic.add<i32>(DONE, 1)
    if (atomic.load<i32>(WAITERS) > 0) atomic.notify(DONE, -1)
  }
}

/**
 * Runs a program of so many sections and so many tickets in all on all threads and returns when all are done: 0, or 1 when
 * a worker was lost.
 */
export function run(program: usize, sections: i32, tickets: i32, threads: i32): i32 {
  if (threads <= 1 || tickets <= 1) {
    for (let i = 0; i < sections; i++) {
      const own = load<i32>(program, 8)
      for (let ticket = 0; ticket < own; ticket++) runTicket(program, ticket)
      program += SECTION_BYTES
    }
    return 0
  }
  if (atomic.load<i32>(DEAD) != 0) return 1
  store<u32>(JOB, <u32>program)
  store<i32>(JOB, tickets, 4)
  store<i32>(JOB, load<i32>(JOB, 8) + 1, 8)
  atomic.store<i32>(DONE, 0)
  atomic.store<i32>(TICKETS, tickets)
  atomic.add<i32>(SEQUENCE, 1)
  const sleepers = atomic.load<i32>(SLEEPERS)
  if (sleepers > 0) atomic.notify(SEQUENCE, sleepers)
  return work() && waitFor(tickets) ? 0 : 1
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
