import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Path } from "effect"
import * as MachineMemory from "../../src/layers/machineMemory.ts"

const MiB = 2 ** 20

const meminfo =
  "MemTotal:       24684096 kB\nMemFree:          100000 kB\nMemAvailable:    8388608 kB\nBuffers: 66324 kB\n"

/** What is available on a machine with these files. */
const on = (files: Readonly<Record<string, string>>) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const paths = yield* Path.Path
    const root = yield* fs.makeTempDirectoryScoped()
    for (const [path, text] of Object.entries(files)) {
      yield* fs.makeDirectory(paths.dirname(`${root}${path}`), { recursive: true })
      yield* fs.writeFileString(`${root}${path}`, text)
    }
    return yield* MachineMemory.available(root)
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))

const group = (directory: string, limit: string, used: number, cache: number) => ({
  [`${directory}/memory.max`]: `${limit}\n`,
  [`${directory}/memory.high`]: "max\n",
  [`${directory}/memory.current`]: `${used}\n`,
  [`${directory}/memory.stat`]: `anon 1\nfile 7\ninactive_file ${cache}\nactive_file 9\n`
})

describe("the memory that can be taken", () => {
  it.effect("is what the machine can give without swapping, where nothing else limits it", () =>
    Effect.gen(function*() {
      const free = { bytes: 8192 * MiB, limit: "machine" }
      assert.deepStrictEqual(yield* on({ "/proc/meminfo": meminfo }), free)
      assert.deepStrictEqual(
        yield* on({
          "/proc/meminfo": meminfo,
          "/proc/self/cgroup": "0::/user.slice/a.scope\n",
          ...group("/sys/fs/cgroup/user.slice/a.scope", "max", 100 * MiB, 0)
        }),
        free
      )
      assert.isAbove((yield* MachineMemory.available().pipe(Effect.provide(NodeServices.layer))).bytes, 64 * MiB)
      assert.isAbove((yield* on({})).bytes, 64 * MiB, "without /proc Node tells")
    }))

  it.effect("is what the nearest of all groups leaves: its limit less what is used and cannot be dropped", () =>
    Effect.gen(function*() {
      const files = {
        "/proc/meminfo": meminfo,
        "/proc/self/cgroup": "0::/user.slice/a.scope\n",
        ...group("/sys/fs/cgroup/user.slice/a.scope", String(2048 * MiB), 700 * MiB, 200 * MiB)
      }
      assert.deepStrictEqual(yield* on(files), { bytes: 1548 * MiB, limit: "control group /user.slice/a.scope" })
      assert.deepStrictEqual(
        yield* on({ ...files, ...group("/sys/fs/cgroup/user.slice", String(1024 * MiB), 900 * MiB, 0) }),
        { bytes: 124 * MiB, limit: "control group /user.slice" }
      )
      assert.deepStrictEqual(
        yield* on({ ...files, "/sys/fs/cgroup/user.slice/a.scope/memory.high": String(1000 * MiB) }),
        { bytes: 500 * MiB, limit: "control group /user.slice/a.scope" }
      )
      assert.strictEqual((yield* on({ ...files, ...group("/sys/fs/cgroup", "1", 5 * MiB, 0) })).bytes, 0)
    }))

  it.effect("of a container whose group is the root of what it sees", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* on({
          "/proc/meminfo": meminfo,
          "/proc/self/cgroup": "0::/../../kubepods/pod1/box\n",
          ...group("/sys/fs/cgroup", String(512 * MiB), 112 * MiB, 0)
        }),
        { bytes: 400 * MiB, limit: "control group" }
      )
    }))

  it.effect("is known of the first version of control groups too", () =>
    Effect.gen(function*() {
      const memory = "/sys/fs/cgroup/memory"
      assert.deepStrictEqual(
        yield* on({
          "/proc/meminfo": meminfo,
          "/proc/self/cgroup": "9:name=systemd:/\n4:cpu,memory:/docker/box\n1:cpuset:/\n0::/\n",
          [`${memory}/memory.limit_in_bytes`]: "9223372036854771712\n",
          [`${memory}/memory.usage_in_bytes`]: "1\n",
          [`${memory}/docker/box/memory.limit_in_bytes`]: `${1024 * MiB}\n`,
          [`${memory}/docker/box/memory.usage_in_bytes`]: `${600 * MiB}\n`,
          [`${memory}/docker/box/memory.stat`]: `inactive_file 1\ntotal_inactive_file ${100 * MiB}\n`
        }),
        { bytes: 524 * MiB, limit: "control group /docker/box" }
      )
    }))
})
