/**
 * Checkpoints in a directory: one directory each, with a manifest and a file for every blob.
 *
 * A checkpoint is written beside its place, forced to the disk, and renamed into it, so at any moment a crash leaves each
 * one whole or not there. Nothing that is in place is ever changed.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, Layer, Option, Path, type PlatformError, Semaphore } from "effect"
import {
  type Checkpoint,
  CheckpointCorrupt,
  type CheckpointInfo,
  CheckpointIo,
  Checkpoints
} from "../../services/Checkpoints.ts"
import { incremental, uniqueName } from "../hash.ts"
import * as Manifest from "./manifest.ts"
import { bestOf, type Retention, superfluous } from "./retention.ts"

const MANIFEST = "manifest.json"
const UNFINISHED = ".unfinished-"
const REMOVED = ".removed-"

/** `step-00000012`, and `step-00000012-1` when that step is saved again. */
const placeName = (step: number, again: number): string =>
  `step-${String(step).padStart(8, "0")}${again === 0 ? "" : `-${again}`}`

const parsePlace = (name: string): { readonly step: number; readonly again: number } | undefined => {
  const match = /^step-(\d{8,})(?:-(\d+))?$/.exec(name)
  return match === null ? undefined : { step: Number(match[1]), again: Number(match[2] ?? 0) }
}

const fileName = (name: string, index: number): string =>
  `${index}-${name.replaceAll(/[^A-Za-z0-9._-]/g, "_").slice(0, 80)}`

const digest = (bytes: Uint8Array): string => incremental().update(bytes).digest("hex")

/** Not a part of a larger buffer, so that numbers of any width can be read in place. */
const plain = (bytes: Uint8Array): Uint8Array =>
  bytes.byteOffset === 0 ? new Uint8Array(bytes.buffer, 0, bytes.length) : new Uint8Array(bytes)

/**
 * Checkpoints in `directory`, which is made by the first save. One process saves; any number may list and load.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  directory: string,
  retention?: Retention
): Layer.Layer<Checkpoints, never, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(
    Checkpoints,
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const paths = yield* Path.Path
      const lock = yield* Semaphore.make(1)
      let tidied = false

      const io = (path: string) => <A, R>(effect: Effect.Effect<A, PlatformError.PlatformError, R>) =>
        Effect.mapError(effect, (error) => new CheckpointIo({ path, reason: error.message }))

      const writeFile = Effect.fnUntraced(function*(path: string, bytes: Uint8Array) {
        const file = yield* fs.open(path, { flag: "wx" })
        yield* file.writeAll(bytes)
        yield* file.sync
      }, Effect.scoped)

      /** Some systems cannot open a directory; there the rename alone has to do. */
      const syncDirectory = (path: string) =>
        Effect.ignore(Effect.scoped(Effect.flatMap(fs.open(path, { flag: "r" }), (file) => file.sync)))

      /** Out of its place in one step, so that a crash leaves no half-removed checkpoint there. */
      const remove = Effect.fnUntraced(function*(path: string) {
        const aside = paths.join(directory, `${REMOVED}${uniqueName()}`)
        yield* fs.rename(path, aside)
        yield* fs.remove(aside, { recursive: true, force: true })
      })

      const names = Effect.fnUntraced(function*() {
        return (yield* fs.exists(directory)) ? yield* fs.readDirectory(directory) : []
      })

      const readManifest = Effect.fnUntraced(function*(path: string) {
        const text = yield* Effect.mapError(
          fs.readFileString(paths.join(path, MANIFEST)),
          (error) => new CheckpointCorrupt({ path, reason: `its manifest cannot be read: ${error.message}` })
        )
        return yield* Effect.mapError(Manifest.decode(text), (reason) => new CheckpointCorrupt({ path, reason }))
      })

      const readBlob = Effect.fnUntraced(function*(path: string, blob: Manifest.Blob) {
        const corrupt = (reason: string) => new CheckpointCorrupt({ path, reason: `${blob.name}: ${reason}` })
        const bytes = yield* Effect.mapError(
          fs.readFile(paths.join(path, blob.file)),
          (error) => corrupt(error.message)
        )
        if (bytes.length !== blob.bytes) {
          return yield* corrupt(`holds ${bytes.length} bytes, ${blob.bytes} were written`)
        }
        if (digest(bytes) !== blob.sha256) return yield* corrupt("does not have the checksum that it was written with")
        return plain(bytes)
      })

      const skip = (error: CheckpointCorrupt) => Effect.as(Effect.logWarning(`skipped: ${error.message}`), undefined)

      /** What is in place and has a sound manifest, oldest first; of a step saved again, the newest. */
      const list = Effect.gen(function*() {
        const bySteps = new Map<number, CheckpointInfo>()
        const places = (yield* io(directory)(names()))
          .flatMap((name) => {
            const place = parsePlace(name)
            return place === undefined ? [] : [{ ...place, path: paths.join(directory, name) }]
          })
          .sort((a, b) => a.step - b.step || a.again - b.again)
        for (const { path } of places) {
          const manifest = yield* Effect.catch(readManifest(path), skip)
          if (manifest !== undefined) bySteps.set(manifest.step, { step: manifest.step, metric: manifest.metric, path })
        }
        return [...bySteps.values()]
      }).pipe(Effect.withSpan("Checkpoints.list"))

      const load = Effect.fn("Checkpoints.load")(function*(
        info: CheckpointInfo
      ): Effect.fn.Return<Checkpoint, CheckpointCorrupt> {
        const manifest = yield* readManifest(info.path)
        const blobs: Record<string, Uint8Array> = {}
        for (const blob of manifest.blobs) blobs[blob.name] = yield* readBlob(info.path, blob)
        return { step: manifest.step, metric: manifest.metric, state: manifest.state, blobs }
      })

      const verify = Effect.fnUntraced(function*(info: CheckpointInfo) {
        const manifest = yield* readManifest(info.path)
        for (const blob of manifest.blobs) yield* readBlob(info.path, blob)
        return info
      })

      /** The first of `candidates` whose every byte is as it was written. */
      const firstSound = Effect.fnUntraced(function*(candidates: ReadonlyArray<CheckpointInfo>) {
        for (const candidate of candidates) {
          const sound = yield* Effect.catch(verify(candidate), skip)
          if (sound !== undefined) return Option.some(sound)
        }
        return Option.none<CheckpointInfo>()
      })

      const byMetric = (infos: ReadonlyArray<CheckpointInfo>): ReadonlyArray<CheckpointInfo> => {
        const best = bestOf(infos)
        return best === undefined ? [] : [best, ...byMetric(infos.filter((info) => info !== best))]
      }

      const write = Effect.fnUntraced(function*(checkpoint: Checkpoint, unfinished: string) {
        const blobs: Array<Manifest.Blob> = []
        for (const [name, bytes] of Object.entries(checkpoint.blobs)) {
          const file = fileName(name, blobs.length)
          yield* io(unfinished)(writeFile(paths.join(unfinished, file), bytes))
          blobs.push({ name, file, bytes: bytes.length, sha256: digest(bytes) })
        }
        const { metric, state, step } = checkpoint
        const manifest = yield* Effect.mapError(
          Manifest.encode({ step, metric, state, blobs }),
          (error) => new CheckpointIo({ path: directory, reason: `this state cannot be saved: ${error.message}` })
        )
        yield* io(unfinished)(writeFile(paths.join(unfinished, MANIFEST), new TextEncoder().encode(manifest)))
        yield* syncDirectory(unfinished)
      })

      const tidy = Effect.fnUntraced(function*() {
        for (const name of yield* names()) {
          if (name.startsWith(UNFINISHED) || name.startsWith(REMOVED)) {
            yield* fs.remove(paths.join(directory, name), { recursive: true, force: true })
          }
        }
      })

      const prune = Effect.fnUntraced(function*(saved: CheckpointInfo) {
        for (const info of superfluous(yield* list, retention)) {
          if (info.path !== saved.path) yield* io(info.path)(remove(info.path))
        }
        for (const name of yield* io(directory)(names())) {
          const path = paths.join(directory, name)
          if (parsePlace(name)?.step === saved.step && path !== saved.path) yield* io(path)(remove(path))
        }
      })

      const save = Effect.fn("Checkpoints.save")(function*(checkpoint: Checkpoint) {
        const unfinished = paths.join(directory, `${UNFINISHED}${uniqueName()}`)
        if (!tidied) {
          yield* io(directory)(Effect.andThen(fs.makeDirectory(directory, { recursive: true }), tidy()))
          tidied = true
        }
        yield* io(unfinished)(fs.makeDirectory(unfinished, { recursive: true }))
        return yield* Effect.gen(function*() {
          yield* write(checkpoint, unfinished)
          const again = (yield* io(directory)(names()))
            .flatMap((name) => {
              const place = parsePlace(name)
              return place?.step === checkpoint.step ? [place.again + 1] : []
            })
          const path = paths.join(directory, placeName(checkpoint.step, Math.max(0, ...again)))
          yield* io(path)(fs.rename(unfinished, path))
          yield* syncDirectory(directory)
          const info: CheckpointInfo = { step: checkpoint.step, metric: checkpoint.metric, path }
          yield* prune(info)
          return info
        }).pipe(
          Effect.onError(() => Effect.ignore(fs.remove(unfinished, { recursive: true, force: true })))
        )
      })

      return Checkpoints.of({
        save: (checkpoint) => lock.withPermit(save(checkpoint)),
        list,
        latest: Effect.flatMap(list, (infos) => firstSound(infos.toReversed())),
        best: Effect.flatMap(list, (infos) => firstSound(byMetric(infos))),
        load
      })
    })
  )
