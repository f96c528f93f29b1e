/**
 * A run log in memory, for tests and for runs that leave nothing behind.
 *
 * @since 0.1.0
 */
import { Clock, Effect, Layer, Stream } from "effect"
import { RunLog, type RunLogError } from "../../services/RunLog.ts"
import * as records from "./records.ts"

/** Records are kept as the lines of JSON that a file would hold, so that what cannot be written fails here too. */
const memory = <A>(kind: records.Kind<A>) => {
  const path = `memory:${kind.file}`
  const texts: Array<string> = []
  const lines = Stream.suspend(() =>
    Stream.fromIterable(texts.map((text, index) => ({ text, number: index + 1, start: index })))
  )
  return {
    append: (record: A): Effect.Effect<void, RunLogError> =>
      Effect.map(kind.encode(record, path), (text) => {
        texts.push(text)
      }),
    rewind: (step: number): Effect.Effect<void, RunLogError> =>
      Effect.map(records.firstBehind(lines, step, path), (line) => {
        if (line !== undefined) texts.length = line.start
      }),
    read: Stream.mapEffect(lines, (line) => kind.decode(line, path))
  }
}

/**
 * A log of its own for each call, as each file is: a constant would be one log for all runs of a program.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (): Layer.Layer<RunLog> =>
  Layer.sync(RunLog, () => {
    const metrics = memory(records.metrics)
    const trajectories = memory(records.trajectories)
    const events = memory(records.events)
    return RunLog.of({
      metrics: metrics.append,
      trajectory: trajectories.append,
      event: (event, detail) =>
        Effect.flatMap(Clock.currentTimeMillis, (time) => events.append({ time, event, detail })),
      readMetrics: metrics.read,
      readTrajectories: trajectories.read,
      readEvents: events.read,
      rewind: (step, options) =>
        Effect.andThen(metrics.rewind(step), trajectories.rewind(options?.trajectories ?? step)),
      sync: Effect.void
    })
  })
