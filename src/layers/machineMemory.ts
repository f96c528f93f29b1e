/**
 * The memory that this process may still take: what the machine has, and what the groups that it runs in may have.
 *
 * @since 0.2.0
 */
// Where there is no /proc only Node knows.
// @effect-diagnostics nodeBuiltinImport:off
import { Effect, FileSystem, Option } from "effect"
import { availableMemory } from "node:process"

/**
 * Bytes that can be taken, and what sets the limit.
 *
 * @category models
 * @since 0.2.0
 */
export interface MachineMemory {
  readonly bytes: number
  /** `machine`, or the control group whose limit is nearer (containers, systemd, Slurm). */
  readonly limit: string
}

const textOf = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  return yield* Effect.option(fs.readFileString(path))
})

/** A number of bytes in a file of its own; "max" is none. */
const numberIn = (path: string) =>
  Effect.map(
    textOf(path),
    Option.flatMap((text) => {
      const value = text.trim() === "" ? Number.NaN : Number(text)
      return Number.isFinite(value) ? Option.some(value) : Option.none()
    })
  )

/** What the files of the two versions are called. `reclaimable` is cache that is dropped before anybody is killed. */
const versions = [
  {
    root: "/sys/fs/cgroup",
    controller: /^0::(.*)$/mu,
    limits: ["memory.max", "memory.high"],
    used: "memory.current",
    reclaimable: /^inactive_file (\d+)$/mu
  },
  {
    root: "/sys/fs/cgroup/memory",
    controller: /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/mu,
    limits: ["memory.limit_in_bytes"],
    used: "memory.usage_in_bytes",
    reclaimable: /^total_inactive_file (\d+)$/mu
  }
] as const

/** What a group may still take; infinite where it has no limit. */
const roomOf = Effect.fnUntraced(function*(directory: string, version: typeof versions[number]) {
  const limits = yield* Effect.forEach(version.limits, (name) => numberIn(`${directory}/${name}`))
  const limit = Math.min(...limits.map(Option.getOrElse(() => Number.POSITIVE_INFINITY)))
  const used = yield* numberIn(`${directory}/${version.used}`)
  if (!Number.isFinite(limit) || Option.isNone(used)) return Number.POSITIVE_INFINITY
  const statistics = Option.getOrElse(yield* textOf(`${directory}/memory.stat`), () => "")
  const reclaimable = Number(version.reclaimable.exec(statistics)?.[1] ?? 0)
  return Math.max(0, limit - Math.max(0, used.value - reclaimable))
})

/** A group's directory and those of the groups that it is in. A container may see its own group as the root. */
const upwards = (path: string): ReadonlyArray<string> => {
  const parts = path.split("/").filter((part) => part !== "" && part !== "..")
  return parts.map((_, depth) => `/${parts.slice(0, parts.length - depth).join("/")}`).concat("")
}

/**
 * What can be taken now. `root` stands before the paths of the system's files.
 *
 * @category getters
 * @since 0.2.0
 */
export const available = Effect.fn("MachineMemory.available")(function*(
  root = ""
): Effect.fn.Return<MachineMemory, never, FileSystem.FileSystem> {
  const memory = Option.getOrElse(yield* textOf(`${root}/proc/meminfo`), () => "")
  const kilobytes = /^MemAvailable:\s+(\d+) kB$/mu.exec(memory)?.[1]
  let least: MachineMemory = {
    bytes: kilobytes === undefined ? availableMemory() : 1024 * Number(kilobytes),
    limit: "machine"
  }
  const groups = Option.getOrElse(yield* textOf(`${root}/proc/self/cgroup`), () => "")
  for (const version of versions) {
    const path = version.controller.exec(groups)?.[1]
    if (path === undefined) continue
    for (const group of upwards(path)) {
      const bytes = yield* roomOf(`${root}${version.root}${group}`, version)
      if (bytes < least.bytes) least = { bytes, limit: group === "" ? "control group" : `control group ${group}` }
    }
  }
  return least
})
