/**
 * Which process of which machine somebody is, beyond a number that is given out again.
 *
 * @since 0.2.0
 */
// Signals, the machine's name and `ps` have no counterpart in Effect.
// @effect-diagnostics nodeBuiltinImport:off
import { Effect, FileSystem, Schema } from "effect"
import { execFile } from "node:child_process"
import { hostname, platform } from "node:os"

/**
 * A process. What its machine does not tell is an empty text. `boot` names the time since the machine was started,
 * `namespace` the process numbers that `pid` is one of (a container has its own), `started` when the process began.
 *
 * @category schemas
 * @since 0.2.0
 */
export const ProcessIdentity = Schema.Struct({
  pid: Schema.Int,
  host: Schema.String,
  machine: Schema.String,
  boot: Schema.String,
  namespace: Schema.String,
  started: Schema.String
})

/**
 * @category models
 * @since 0.2.0
 */
export type ProcessIdentity = typeof ProcessIdentity.Type

/**
 * Whether a process of this machine has this number.
 *
 * @category guards
 * @since 0.2.0
 */
export const alive = (pid: number): boolean => {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // another user's process
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}

const fileOr = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  return (yield* Effect.orElseSucceed(fs.readFileString(path), () => "")).trim()
})

/** Field 22 of Linux' `stat`, in ticks since the boot; names in field 2 may hold spaces and brackets. */
const ticks = (stat: string): string => stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? ""

const startedByPs = (pid: number): Effect.Effect<string> =>
  Effect.callback((resume) => {
    execFile("ps", ["-o", "lstart=", "-p", String(pid)], { timeout: 5000, env: { LC_ALL: "C" } }, (error, stdout) =>
      resume(Effect.succeed(error === null ? stdout.trim() : "")))
  })

/** When a running process of this machine began; empty where the machine does not say. */
const startOf = (pid: number): Effect.Effect<string, never, FileSystem.FileSystem> =>
  platform() === "linux"
    ? Effect.map(fileOr(`/proc/${pid}/stat`), ticks)
    : platform() === "win32"
    ? Effect.succeed("")
    : startedByPs(pid)

/**
 * This process.
 *
 * @category getters
 * @since 0.2.0
 */
export const own: Effect.Effect<ProcessIdentity, never, FileSystem.FileSystem> = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const linux = platform() === "linux"
  return {
    pid: process.pid,
    host: hostname(),
    machine: linux ? yield* fileOr("/etc/machine-id") : "",
    boot: linux ? yield* fileOr("/proc/sys/kernel/random/boot_id") : "",
    namespace: linux ? yield* Effect.orElseSucceed(fs.readLink("/proc/self/ns/pid"), () => "") : "",
    started: yield* startOf(process.pid)
  }
})

const differ = (a: string, b: string): boolean => a !== "" && b !== "" && a !== b

/**
 * Whether a process may still run: false only where this machine knows that it does not. Processes of other machines, and
 * of other containers of this one, cannot be seen from here and may always run.
 *
 * @category guards
 * @since 0.2.0
 */
export const mayRun = Effect.fnUntraced(function*(
  other: ProcessIdentity
): Effect.fn.Return<boolean, never, FileSystem.FileSystem> {
  const self = yield* own
  if (other.host !== self.host || differ(other.machine, self.machine)) return true
  if (differ(other.boot, self.boot)) return false
  if (differ(other.namespace, self.namespace)) return true
  if (!alive(other.pid)) return false
  // the number has been given to another process since
  return !differ(other.started, yield* startOf(other.pid))
})
