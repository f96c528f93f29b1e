import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, FileSystem, Layer, Option, Path, Stream } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import * as Prng from "../../../src/domain/Prng.ts"
import * as CheckpointsFileSystem from "../../../src/layers/checkpoints/CheckpointsFileSystem.ts"
import * as CheckpointsMemory from "../../../src/layers/checkpoints/CheckpointsMemory.ts"
import { CheckpointCorrupt, CheckpointIo, Checkpoints } from "../../../src/services/Checkpoints.ts"
import { checkpointAt, checkpointsContract } from "../../contract/checkpoints.ts"
import { blobOf } from "../../support/checkpointWriter.ts"

const retention = { keepLast: 2, keepBest: true }

checkpointsContract("CheckpointsMemory", () => CheckpointsMemory.layer(retention))

checkpointsContract("CheckpointsFileSystem", () =>
  Layer.unwrap(
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const paths = yield* Path.Path
      return CheckpointsFileSystem.layer(paths.join(yield* fs.makeTempDirectoryScoped(), "deep", "run"), retention)
    })
  ).pipe(Layer.provide(NodeServices.layer)))

const inDirectory = <A, E>(
  use: (directory: string, checkpoints: Checkpoints["Service"]) => Effect.Effect<
    A,
    E,
    FileSystem.FileSystem | Path.Path
  >
) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const directory = yield* fs.makeTempDirectoryScoped()
    return yield* Effect.provide(
      Effect.flatMap(Checkpoints, (checkpoints) => use(directory, checkpoints)),
      CheckpointsFileSystem.layer(directory, retention)
    )
  }).pipe(Effect.provide(NodeServices.layer))

describe("CheckpointsFileSystem", () => {
  it.effect("a save that failed or was interrupted leaves nothing behind", () =>
    inDirectory(Effect.fnUntraced(function*(directory, checkpoints) {
      const fs = yield* FileSystem.FileSystem
      yield* Effect.flip(checkpoints.save(checkpointAt(1, Number.NaN)))
      assert.deepStrictEqual(yield* fs.readDirectory(directory), [])
      const info = yield* checkpoints.save(checkpointAt(1, 0.5))
      yield* Effect.flip(checkpoints.save(checkpointAt(2, Number.POSITIVE_INFINITY)))
      const paths = yield* Path.Path
      assert.deepStrictEqual(yield* fs.readDirectory(directory), [paths.basename(info.path)])
      assert.deepStrictEqual(yield* checkpoints.load(info), checkpointAt(1, 0.5))
      const large = { ...checkpointAt(3), blobs: { weights: new Uint8Array(1 << 26) } }
      const fiber = yield* Effect.forkChild(checkpoints.save(large))
      while ((yield* fs.readDirectory(directory)).length < 2) {
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      }
      yield* Fiber.interrupt(fiber)
      assert.isTrue(yield* fs.exists(info.path))
      const names = yield* fs.readDirectory(directory)
      assert.deepStrictEqual(names.filter((name) => name.startsWith(".")), [], "whole or not there")
    })))

  it.effect("any changed byte of any file is noticed: load says so, latest and best take another", () =>
    inDirectory(Effect.fnUntraced(function*(_, checkpoints) {
      const fs = yield* FileSystem.FileSystem
      const paths = yield* Path.Path
      const good = yield* checkpoints.save(checkpointAt(1, 0.1))
      const bad = yield* checkpoints.save(checkpointAt(2, 0.9))
      for (const name of yield* fs.readDirectory(bad.path)) {
        const file = paths.join(bad.path, name)
        const bytes = Uint8Array.from(yield* fs.readFile(file))
        const prng = Prng.make(`flip/${name}`)
        for (let flip = 0; flip < 20 && bytes.length > 0; flip++) {
          const damaged = bytes.slice()
          const at = prng.below(bytes.length)
          damaged[at] = (damaged[at] ?? 0) ^ (1 << prng.below(8))
          yield* fs.writeFile(file, damaged)
          const error = yield* Effect.flip(checkpoints.load(bad))
          assert.instanceOf(error, CheckpointCorrupt)
          assert.include(error.message, bad.path)
          assert.strictEqual(Option.getOrThrow(yield* checkpoints.latest).path, good.path)
          assert.strictEqual(Option.getOrThrow(yield* checkpoints.best).path, good.path)
        }
        yield* fs.writeFile(file, bytes.subarray(0, -1))
        if (bytes.length > 0) assert.instanceOf(yield* Effect.flip(checkpoints.load(bad)), CheckpointCorrupt)
        yield* fs.writeFile(file, bytes)
      }
      assert.deepStrictEqual(yield* checkpoints.load(bad), checkpointAt(2, 0.9))
      assert.strictEqual(Option.getOrThrow(yield* checkpoints.latest).path, bad.path)
    })))

  it.effect("a missing blob and a missing manifest are noticed", () =>
    inDirectory(Effect.fnUntraced(function*(_, checkpoints) {
      const fs = yield* FileSystem.FileSystem
      const paths = yield* Path.Path
      const info = yield* checkpoints.save(checkpointAt(1))
      assert.deepStrictEqual([...(yield* fs.readDirectory(info.path))].sort(), ["blobs.bin", "manifest.json"])
      const file = paths.join(info.path, "blobs.bin")
      yield* fs.truncate(file, 1005)
      assert.match((yield* Effect.flip(checkpoints.load(info))).message, /moments: holds 5 bytes, 10 were written/)
      yield* fs.remove(file)
      assert.match((yield* Effect.flip(checkpoints.load(info))).message, /its blobs cannot be read/)
      assert.match((yield* Effect.flip(checkpoints.latest)).message, /none of its 1 checkpoints is as it was written/)
      assert.isTrue(Option.isNone(yield* checkpoints.best))
      yield* fs.remove(paths.join(info.path, "manifest.json"))
      assert.match((yield* Effect.flip(checkpoints.load(info))).message, /manifest cannot be read/)
      assert.deepStrictEqual(yield* checkpoints.list, [])
    })))

  it.effect("a checkpoint of a newer format says so", () =>
    inDirectory(Effect.fnUntraced(function*(_, checkpoints) {
      const fs = yield* FileSystem.FileSystem
      const paths = yield* Path.Path
      const { sha256 } = yield* Effect.promise(() => import("../../../src/layers/hash.ts"))
      const info = yield* checkpoints.save(checkpointAt(1))
      const manifest = JSON.stringify({ format: 3, anything: true })
      yield* fs.writeFileString(
        paths.join(info.path, "manifest.json"),
        JSON.stringify({ sha256: sha256(manifest), manifest })
      )
      const error = yield* Effect.flip(checkpoints.load(info))
      assert.match(error.message, /it is of format 3, this version reads format 2/)
    })))

  it.effect("what an earlier process left unfinished is no checkpoint, and the next save removes it", () =>
    inDirectory(Effect.fnUntraced(function*(directory, checkpoints) {
      const fs = yield* FileSystem.FileSystem
      const paths = yield* Path.Path
      for (const name of [".unfinished-x", ".removed-y"]) {
        yield* fs.makeDirectory(paths.join(directory, name))
        yield* fs.writeFileString(paths.join(directory, name, "0-weights"), "half")
      }
      assert.deepStrictEqual(yield* checkpoints.list, [])
      yield* checkpoints.save(checkpointAt(1))
      assert.deepStrictEqual(yield* fs.readDirectory(directory), ["step-00000001"])
    })))

  it.effect("a place that cannot be written is an error that names it, and leaves nothing behind", () =>
    inDirectory(Effect.fnUntraced(function*(directory) {
      const fs = yield* FileSystem.FileSystem
      const paths = yield* Path.Path
      const file = paths.join(directory, "file")
      yield* fs.writeFileString(file, "")
      const error = yield* Effect.flatMap(Checkpoints, (checkpoints) => checkpoints.save(checkpointAt(1))).pipe(
        Effect.provide(CheckpointsFileSystem.layer(paths.join(file, "run"))),
        Effect.flip
      )
      assert.instanceOf(error, CheckpointIo)
      assert.include(error.message, file)
      assert.deepStrictEqual(yield* fs.readDirectory(directory), ["file"])
    })))

  it.live(
    "kill -9 at random moments of saving: what survives is whole, and no finished save is lost",
    () =>
      inDirectory(Effect.fnUntraced(function*(directory, checkpoints) {
        const fs = yield* FileSystem.FileSystem
        const paths = yield* Path.Path
        const writer = paths.join(import.meta.dirname, "..", "..", "support", "checkpointWriter.ts")
        const prng = Prng.make("kill")
        let finished = -1
        for (let round = 0; round < 6; round++) {
          yield* Effect.scoped(Effect.gen(function*() {
            const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
            const child = yield* spawner.spawn(
              ChildProcess.make(process.execPath, [writer, directory, String(finished + 1)], { killSignal: "SIGKILL" })
            )
            const lines = child.stdout.pipe(Stream.decodeText(), Stream.splitLines)
            const killAfter = 1 + prng.below(4)
            const seen = yield* lines.pipe(
              Stream.take(killAfter),
              Stream.runCollect
            )
            finished = Math.max(finished, ...seen.map(Number))
            yield* Effect.sleep(`${prng.below(40)} millis`)
            yield* Effect.ignore(child.kill({ killSignal: "SIGKILL" }))
          })).pipe(Effect.provide(NodeServices.layer))
          const infos = yield* checkpoints.list
          assert.isAbove(infos.length, 0)
          for (const info of infos) {
            const loaded = yield* checkpoints.load(info)
            assert.deepStrictEqual(loaded.state, { step: info.step })
            assert.deepStrictEqual(loaded.blobs, { weights: blobOf(info.step), moments: blobOf(info.step + 1) })
          }
          const latest = Option.getOrThrow(yield* checkpoints.latest)
          assert.isAtLeast(latest.step, finished)
          finished = latest.step
        }
        yield* checkpoints.save(checkpointAt(finished + 1))
        assert.isTrue((yield* fs.readDirectory(directory)).every((name) => name.startsWith("step-")))
      })),
    60_000
  )
})
