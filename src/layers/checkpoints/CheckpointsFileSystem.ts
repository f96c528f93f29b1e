/**
 * Checkpoints in a directory: one directory each, with a manifest and one file that holds all blobs.
 *
 * A checkpoint is written beside its place, forced to the disk, and renamed into it, so at any moment a crash leaves each
 * one whole or not there. Nothing that is in place is ever changed.
 *
 * @since 0.1.0
 */
import { Effect, Exit, FileSystem, Layer, Option, Path, type PlatformError, Semaphore } from "effect"
import {
  type Checkpoint,
  CheckpointCorrupt,
  type CheckpointInfo,
  CheckpointIo,
  Checkpoints
} from "../../services/Checkpoints.ts"
import * as Directories from "../directories.ts"
import { incremental, uniqueName } from "../hash.ts"
import * as SettledFiles from "../settledFiles.ts"
import * as Syncing from "../syncing.ts"
import * as SystemReason from "../systemReason.ts"
import * as Manifest from "./manifest.ts"
import { bestOf, type Retention, superfluous } from "./retention.ts"

const MANIFEST = "manifest.json"
const BLOBS = "blobs.bin"
const UNFINISHED = ".unfinished-"
const REMOVED = ".removed-"

/** `step-00000012`, and `step-00000012-1` when that step is saved again. */
const placeName = (step: number, again: number): string =>
  `step-${String(step).padStart(8, "0")}${again === 0 ? "" : `-${again}`}`

const parsePlace = (name: string): { readonly step: number; readonly again: number } | undefined => {
  const match = /^step-(\d{8,})(?:-(\d+))?$/.exec(name)
  return match === null ? undefined : { step: Number(match[1]), again: Number(match[2] ?? 0) }
}

/**
 * Whether a directory holds checkpoints, sound or not; one whose first save failed holds none. Fails where the system does
 * not say: a wrong no would let others replace them.
 *
 * @category predicates
 * @since 0.2.0
 */
export const holds = (directory: string): Effect.Effect<boolean, CheckpointIo, FileSystem.FileSystem> =>
  FileSystem.FileSystem.pipe(
    Effect.flatMap((fs) => fs.readDirectory(directory)),
    Effect.map((names) => names.some((name) => parsePlace(name) !== undefined)),
    Effect.catchIf(SystemReason.isAbsence, () => Effect.succeed(false)),
    Effect.mapError((error) => new CheckpointIo({ path: directory, reason: SystemReason.of(error) }))
  )

const digest = (bytes: Uint8Array): string => incremental().update(bytes).digest("hex")

/** Bytes that one system call reads at most: some systems read no more than 2 GiB. */
const READ_BYTES = 2 ** 28

/** `bytes` from `position` of a file into a buffer of their own, so that numbers of any width can be read in place. */
const readRange = Effect.fnUntraced(function*(file: FileSystem.File, position: number, bytes: number) {
  const target = new Uint8Array(bytes)
  let filled = 0
  while (filled < bytes) {
    const rest = target.subarray(filled, Math.min(bytes, filled + READ_BYTES))
    const count = yield* file.read(rest, { position: BigInt(position + filled) })
    if (count === 0) break
    filled += count
  }
  return { target, filled }
})

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
      const fs = SettledFiles.make(yield* FileSystem.FileSystem)
      const paths = yield* Path.Path
      const makeDirectory = (path: string) =>
        Directories.make(path).pipe(
          Effect.provideService(FileSystem.FileSystem, fs),
          Effect.provideService(Path.Path, paths)
        )
      const lock = yield* Semaphore.make(1)
      let tidied = false

      const io = (path: string) => <A, R>(effect: Effect.Effect<A, PlatformError.PlatformError, R>) =>
        Effect.mapError(effect, (error) => new CheckpointIo({ path, reason: SystemReason.of(error) }))

      /** Writes parts one behind the other and forces them to the disk. */
      const writeFile = Effect.fnUntraced(function*(path: string, parts: Iterable<Uint8Array>) {
        const file = yield* fs.open(path, { flag: "wx" })
        for (const part of parts) yield* file.writeAll(part)
        yield* file.sync
      }, Effect.scoped)

      const syncDirectory = (path: string) =>
        io(path)(Effect.provideService(Syncing.directory(path), FileSystem.FileSystem, fs))

      /** Out of its place in one step, so that a crash leaves no half-removed checkpoint there. */
      const remove = Effect.fnUntraced(function*(path: string) {
        const aside = paths.join(directory, `${REMOVED}${uniqueName()}`)
        yield* fs.rename(path, aside)
        yield* fs.remove(aside, { recursive: true, force: true })
      }, Effect.uninterruptible)

      const names = Effect.fnUntraced(function*() {
        return (yield* fs.exists(directory)) ? yield* fs.readDirectory(directory) : []
      })

      const readManifest = Effect.fnUntraced(function*(path: string) {
        const text = yield* Effect.mapError(
          fs.readFileString(paths.join(path, MANIFEST)),
          (error) => new CheckpointCorrupt({ path, reason: `its manifest cannot be read: ${SystemReason.of(error)}` })
        )
        return yield* Effect.mapError(Manifest.decode(text), (reason) => new CheckpointCorrupt({ path, reason }))
      })

      /** All blobs, each checked against its hash, one after the other. */
      const readBlobs = Effect.fnUntraced(
        function*<E>(
          path: string,
          blobs: ReadonlyArray<Manifest.Blob>,
          use: (name: string, bytes: Uint8Array) => Effect.Effect<void, E>
        ) {
          const corrupt = (reason: string) => new CheckpointCorrupt({ path, reason })
          const file = yield* Effect.mapError(
            fs.open(paths.join(path, BLOBS), { flag: "r" }),
            (error) => corrupt(`its blobs cannot be read: ${SystemReason.of(error)}`)
          )
          for (const { bytes, name, offset, sha256 } of blobs) {
            const { filled, target } = yield* Effect.mapError(
              readRange(file, offset, bytes),
              (error) => corrupt(`${name}: ${SystemReason.of(error)}`)
            )
            if (filled !== bytes) return yield* corrupt(`${name}: holds ${filled} bytes, ${bytes} were written`)
            if (digest(target) !== sha256) {
              return yield* corrupt(`${name}: does not have the checksum that it was written with`)
            }
            yield* use(name, target)
          }
        },
        Effect.scoped
      )

      const skip = (error: CheckpointCorrupt) => Effect.as(Effect.logWarning(`skipped: ${error.message}`), undefined)

      /** Everything that is in place, sound or not, oldest first. */
      const places = Effect.gen(function*() {
        return (yield* io(directory)(names()))
          .flatMap((name) => {
            const place = parsePlace(name)
            return place === undefined ? [] : [{ ...place, path: paths.join(directory, name) }]
          })
          .sort((a, b) => a.step - b.step || a.again - b.again)
      })

      /** What is in place and has a sound manifest, oldest first; of a step saved again, the newest. */
      const list = Effect.gen(function*() {
        const bySteps = new Map<number, CheckpointInfo>()
        for (const { path } of yield* places) {
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
        yield* readBlobs(info.path, manifest.blobs, (name, bytes) =>
          Effect.sync(() => {
            blobs[name] = bytes
          }))
        return { step: manifest.step, metric: manifest.metric, state: manifest.state, blobs }
      })

      const verify = Effect.fnUntraced(function*(info: CheckpointInfo) {
        const manifest = yield* readManifest(info.path)
        yield* readBlobs(info.path, manifest.blobs, () => Effect.void)
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

      const latest = Effect.gen(function*() {
        const sound = yield* firstSound((yield* list).toReversed())
        const damaged = yield* places
        if (Option.isNone(sound) && damaged.length > 0) {
          return yield* new CheckpointCorrupt({
            path: directory,
            reason: `none of its ${damaged.length} checkpoints is as it was written`
          })
        }
        return sound
      }).pipe(Effect.withSpan("Checkpoints.latest"))

      const byMetric = (infos: ReadonlyArray<CheckpointInfo>): ReadonlyArray<CheckpointInfo> => {
        const best = bestOf(infos)
        return best === undefined ? [] : [best, ...byMetric(infos.filter((info) => info !== best))]
      }

      const write = Effect.fnUntraced(function*(checkpoint: Checkpoint, unfinished: string) {
        const parts = Object.entries(checkpoint.blobs)
        yield* io(unfinished)(writeFile(paths.join(unfinished, BLOBS), parts.map(([, bytes]) => bytes)))
        let offset = 0
        const blobs = parts.map(([name, bytes]): Manifest.Blob => {
          const blob = { name, offset, bytes: bytes.length, sha256: digest(bytes) }
          offset += bytes.length
          return blob
        })
        const { metric, state, step } = checkpoint
        const manifest = yield* Effect.mapError(
          Manifest.encode({ step, metric, state, blobs }),
          (error) => new CheckpointIo({ path: directory, reason: `this state cannot be saved: ${error.message}` })
        )
        yield* io(unfinished)(writeFile(paths.join(unfinished, MANIFEST), [new TextEncoder().encode(manifest)]))
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
          yield* io(directory)(Effect.andThen(makeDirectory(directory), tidy()))
          tidied = true
        }
        return yield* Effect.acquireUseRelease(
          io(unfinished)(makeDirectory(unfinished)),
          Effect.fnUntraced(function*() {
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
            yield* Effect.catchTag(prune(info), "CheckpointIo", (error) => {
              // the checkpoint is there: what stays besides is removed with the next one
              tidied = false
              return Effect.logWarning(`an earlier checkpoint stays: ${error.message}`)
            })
            return info
          }),
          (_, exit) =>
            Exit.isSuccess(exit) ? Effect.void : Effect.ignore(fs.remove(unfinished, { recursive: true, force: true }))
        )
      })

      return Checkpoints.of({
        save: (checkpoint) => lock.withPermit(save(checkpoint)),
        list,
        latest,
        best: Effect.flatMap(list, (infos) => firstSound(byMetric(infos))),
        load,
        peek: ({ path }) => Effect.map(readManifest(path), ({ state }) => state)
      })
    })
  )
