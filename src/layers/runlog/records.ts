/**
 * The records of a run log as lines of JSON, shared by all its layers.
 *
 * @since 0.1.0
 */
import { Effect, Schema, Stream } from "effect"
import * as Json from "../../domain/Json.ts"
import { EventRecord, MetricsRecord, RunLogError, TrajectoryRecord } from "../../services/RunLog.ts"
import type { Line } from "./jsonLines.ts"

/**
 * One kind of record: the name of its file, and its codec.
 *
 * @category models
 * @since 0.1.0
 */
export interface Kind<A> {
  readonly file: string
  readonly encode: (record: A, path: string) => Effect.Effect<string, RunLogError>
  readonly decode: (line: Line, path: string) => Effect.Effect<A, RunLogError>
}

const oneLine = (text: string): string => text.replaceAll(/\s*\n\s*/g, " ")

const kind = <A>(file: string, schema: Schema.Codec<A, unknown>): Kind<A> => {
  const line = Schema.fromJsonString(Schema.toCodecJson(schema))
  const encode = Schema.encodeEffect(line)
  const decode = Json.decode(Schema.toCodecJson(schema))
  return {
    file,
    encode: (record, path) =>
      Effect.mapError(
        encode(record),
        (error) => new RunLogError({ path, reason: `this record cannot be written: ${oneLine(error.message)}` })
      ),
    decode: ({ number, text }, path) =>
      Effect.mapError(
        Effect.fromResult(decode(text)),
        (reason) => new RunLogError({ path: `${path}:${number}`, reason: `no record: ${reason}` })
      )
  }
}

/**
 * @category constants
 * @since 0.1.0
 */
export const metrics: Kind<MetricsRecord> = kind("metrics.jsonl", MetricsRecord)

/**
 * @category constants
 * @since 0.1.0
 */
export const trajectories: Kind<TrajectoryRecord> = kind("trajectories.jsonl", TrajectoryRecord)

/**
 * @category constants
 * @since 0.1.0
 */
export const events: Kind<EventRecord> = kind("events.jsonl", EventRecord)

const decodeStep = Schema.decodeEffect(Schema.fromJsonString(Schema.Struct({ step: Schema.Natural })))

/**
 * The first line of a step behind `step`.
 *
 * @category reading
 * @since 0.1.0
 */
export const firstBehind = <E>(
  lines: Stream.Stream<Line, E>,
  step: number,
  path: string
): Effect.Effect<Line | undefined, E | RunLogError> =>
  lines.pipe(
    Stream.mapEffect((line) =>
      Effect.mapBoth(decodeStep(line.text), {
        onSuccess: (record) => ({ line, behind: record.step > step }),
        onFailure: (error) =>
          new RunLogError({ path: `${path}:${line.number}`, reason: `no record: ${oneLine(error.message)}` })
      })
    ),
    Stream.filter(({ behind }) => behind),
    Stream.take(1),
    Stream.runCollect,
    Effect.map(([found]) => found?.line)
  )
