/**
 * A run log in a directory: `metrics.jsonl`, `trajectories.jsonl` and `events.jsonl`, one record a line.
 *
 * @since 0.1.0
 */
import { Clock, Effect, FileSystem, Layer, Path, type PlatformError, Semaphore, Stream } from "effect"
import { RunLog, RunLogError } from "../../services/RunLog.ts"
import * as Directories from "../directories.ts"
import * as SystemReason from "../systemReason.ts"
import { dropTornTail, wholeLines } from "./jsonLines.ts"
import * as records from "./records.ts"

const encoder = new TextEncoder()

const failedAt = (path: string) => (error: PlatformError.PlatformError) =>
  new RunLogError({ path, reason: SystemReason.of(error) })

/**
 * What a log in `directory` holds, for those who only look: nothing is made, mended or locked, and a log that is not there
 * is empty.
 *
 * @category readers
 * @since 0.1.0
 */
export const read = Effect.fnUntraced(function*(
  directory: string
): Effect.fn.Return<
  Pick<RunLog["Service"], "readMetrics" | "readTrajectories" | "readEvents">,
  never,
  FileSystem.FileSystem | Path.Path
> {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const of = <A>(kind: records.Kind<A>): Stream.Stream<A, RunLogError> => {
    const path = paths.join(directory, kind.file)
    return Stream.unwrap(
      Effect.map(fs.exists(path), (there) => there ? wholeLines(fs.stream(path)) : Stream.empty)
    ).pipe(
      Stream.mapError(failedAt(path)),
      Stream.mapEffect((line) => kind.decode(line, path))
    )
  }
  return {
    readMetrics: of(records.metrics),
    readTrajectories: of(records.trajectories),
    readEvents: of(records.events)
  }
})

/**
 * A log in `directory`, which is made where it is missing. One process writes; any number may read, in this process and in
 * others. A record that an earlier process did not finish is dropped at the start, with a warning and an event.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  directory: string
): Layer.Layer<RunLog, RunLogError, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(
    RunLog,
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const paths = yield* Path.Path
      const named = <A, R>(effect: Effect.Effect<A, PlatformError.PlatformError, R>, path: string) =>
        Effect.mapError(effect, failedAt(path))

      yield* named(Directories.make(directory), directory)

      const open = Effect.fnUntraced(function*<A>(kind: records.Kind<A>) {
        const path = paths.join(directory, kind.file)
        const torn = yield* named(Effect.provideService(dropTornTail(path), FileSystem.FileSystem, fs), path)
        const file = yield* named(fs.open(path, { flag: "a" }), path)
        const lock = yield* Semaphore.make(1)
        const lines = wholeLines(fs.stream(path)).pipe(Stream.mapError(failedAt(path)))

        const append = (record: A): Effect.Effect<void, RunLogError> =>
          Effect.flatMap(kind.encode(record, path), (text) => {
            const line = encoder.encode(`${text}\n`)
            return lock.withPermit(Effect.uninterruptible(Effect.gen(function*() {
              const { size } = yield* file.stat
              // a part of a line, say of a full disk, would spoil the next one
              yield* file.writeAll(line).pipe(Effect.onError(() => Effect.ignore(file.truncate(Number(size)))))
            }))).pipe(Effect.mapError(failedAt(path)))
          })

        const rewind = (step: number): Effect.Effect<void, RunLogError> =>
          lock.withPermit(Effect.flatMap(records.firstBehind(lines, step, path), (line) =>
            line === undefined ? Effect.void : named(file.truncate(line.start), path)))

        const read = Stream.mapEffect(lines, (line) =>
          kind.decode(line, path))
        const sync = named(file.sync, path)
        return { path, torn, append, rewind, read, sync }
      })

      const metrics = yield* open(records.metrics)
      const trajectories = yield* open(records.trajectories)
      const events = yield* open(records.events)

      const event = Effect.fnUntraced(function*(event: string, detail: Parameters<RunLog["Service"]["event"]>[1]) {
        const time = yield* Clock.currentTimeMillis
        yield* events.append({ time, event, detail })
      })

      for (const { path, torn } of [metrics, trajectories, events]) {
        if (torn === 0) continue
        yield* Effect.logWarning(`${path}: dropped the last record, of which only ${torn} bytes had been written`)
        yield* event("log-recovered", { path, bytes: torn })
      }

      return RunLog.of({
        metrics: metrics.append,
        trajectory: trajectories.append,
        event,
        readMetrics: metrics.read,
        readTrajectories: trajectories.read,
        readEvents: events.read,
        rewind: Effect.fn("RunLog.rewind")(function*(step, options) {
          yield* metrics.rewind(step)
          yield* trajectories.rewind(options?.trajectories ?? step)
        }),
        sync: Effect.forEach([metrics, trajectories, events], ({ sync }) => sync, { discard: true })
      })
    })
  )
