/**
 * Grades recorded trajectories: text in, items and a report out, in constant memory.
 *
 * @since 0.1.0
 */
import { Effect, Result, Schema, Stream } from "effect"
import type { Scopes } from "../domain/FormatReward.ts"
import { grade } from "../domain/Grading.ts"
import * as JsonRecords from "../domain/JsonRecords.ts"
import * as Recording from "../domain/Recording.ts"
import * as ScoreSummary from "../domain/ScoreSummary.ts"
import * as TrainingLog from "../domain/TrainingLog.ts"

/**
 * A record that cannot be graded.
 *
 * @category errors
 * @since 0.1.0
 */
export class RecordInvalid extends Schema.TaggedError<RecordInvalid>()("RecordInvalid", {
  path: Schema.String,
  /** 1-based line on which the record begins. */
  line: Schema.Natural,
  reason: Schema.String,
  /** Whether the recording lost what was there, so that the record can only be left out. */
  lost: Schema.optionalKey(Schema.Literal(true))
}) {
  override get message() {
    return `${this.path}:${this.line}: ${this.reason}`
  }
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Which text answers and formats are judged on. */
  readonly scopes: Scopes
  /** The name in messages. */
  readonly path: string
  /** The data source of records without one. */
  readonly dataSource: string
}

/** The reference grades the prompt too, so a record without one gets the one that the reference would have used. */
const withPrompt = (recording: Recording.Recording): Recording.Recording =>
  recording.transcript.prompt === ""
    ? {
      ...recording,
      transcript: { ...recording.transcript, prompt: Recording.referencePrompt(recording.question) }
    }
    : recording

/**
 * Grades one record.
 *
 * @category grading
 * @since 0.1.0
 */
export const gradeRecord = (
  record: JsonRecords.RawRecord | JsonRecords.Malformed,
  options: Options
): Result.Result<ScoreSummary.Item, RecordInvalid> => {
  const graded = Result.map(Result.flatMap(JsonRecords.value(record), Recording.fromJson), (recording) => {
    const whole = options.scopes.answerScope === "fullText" || options.scopes.formatScope === "chatml"
      ? withPrompt(recording)
      : recording
    return ScoreSummary.item(
      whole,
      grade(whole.transcript, whole.goldenAnswers, options.scopes),
      { id: String(record.line), dataSource: options.dataSource }
    )
  })
  return Result.mapError(graded, (reason) =>
    new RecordInvalid({
      path: options.path,
      line: record.line,
      reason,
      ...("lost" in record && { lost: true as const })
    }))
}

/** Warns of the first record that may not be what was meant, and counts the others. */
const makeCautions = (path: string) => {
  let count = 0
  return {
    see: (records: ReadonlyArray<JsonRecords.RawRecord | JsonRecords.Malformed>) => {
      const doubtful = records.flatMap((record) =>
        "caution" in record && record.caution !== undefined ? [`${path}:${record.line}: ${record.caution}`] : []
      )
      const first = count === 0 ? doubtful[0] : undefined
      count += doubtful.length
      return first === undefined ? Effect.void : Effect.logWarning(first)
    },
    end: Effect.suspend(() => count > 1 ? Effect.logWarning(`${path}: this is so of ${count} samples`) : Effect.void)
  }
}

/**
 * Grades the records of a text (JSON lines, one JSON array, or a training log of Search-R1) as it arrives, in order, in
 * batches as large as the pieces of text. A record that cannot be graded is a failure in the batch and ends nothing; one
 * that may not be what was meant is told in a warning.
 *
 * @category grading
 * @since 0.1.0
 */
export const batches = <E, R>(
  text: Stream.Stream<string, E, R>,
  options: Options
): Stream.Stream<ReadonlyArray<Result.Result<ScoreSummary.Item, RecordInvalid>>, E, R> =>
  Stream.suspend(() => {
    const splitter = TrainingLog.make()
    const cautions = makeCautions(options.path)
    return text.pipe(
      Stream.map((piece) => splitter.push(piece)),
      Stream.concat(Stream.sync(() => splitter.end())),
      Stream.filter((records) => records.length > 0),
      Stream.tap(cautions.see),
      Stream.map((records) => records.map((record) => gradeRecord(record, options))),
      Stream.concat(Stream.fromEffectDrain(cautions.end))
    )
  })

/**
 * A text with records.
 *
 * @category models
 * @since 0.1.0
 */
export interface Source<E, R> extends Omit<Options, "scopes"> {
  readonly text: Stream.Stream<string, E, R>
}

/**
 * @category models
 * @since 0.1.0
 */
export interface RunOptions<E, R> {
  readonly scopes: Scopes
  /**
   * Whether records that cannot be graded are counted and skipped instead of ending the run, as those are whose recording
   * lost what was there.
   */
  readonly skipBad: boolean
  /** Takes the items of a batch, in order, before the next batch is read. */
  readonly onItems: (items: ReadonlyArray<ScoreSummary.Item>) => Effect.Effect<void, E, R>
  /** Hears of each skipped record. */
  readonly onSkipped: (error: RecordInvalid) => Effect.Effect<void, E, R>
}

/**
 * A report with the number of records that were skipped.
 *
 * @category models
 * @since 0.1.0
 */
export interface Outcome {
  readonly report: ScoreSummary.Report
  readonly skipped: number
}

/**
 * Grades all records of the sources, one source after the other.
 *
 * @category grading
 * @since 0.1.0
 */
export const run = Effect.fn("Score.run")(function*<E, R, E2, R2>(
  sources: ReadonlyArray<Source<E, R>>,
  options: RunOptions<E2, R2>
): Effect.fn.Return<Outcome, E | E2 | RecordInvalid, R | R2> {
  const tally = ScoreSummary.tally()
  let skipped = 0
  const take = Effect.fnUntraced(function*(
    batch: ReadonlyArray<Result.Result<ScoreSummary.Item, RecordInvalid>>
  ): Effect.fn.Return<void, E2 | RecordInvalid, R2> {
    const items: Array<ScoreSummary.Item> = []
    for (const result of batch) {
      if (Result.isSuccess(result)) {
        tally.add(result.success)
        items.push(result.success)
      } else if (options.skipBad || result.failure.lost === true) {
        skipped++
        yield* options.onSkipped(result.failure)
      } else {
        yield* options.onItems(items)
        return yield* result.failure
      }
    }
    yield* options.onItems(items)
  })
  yield* Effect.forEach(
    sources,
    (source) => Stream.runForEach(batches(source.text, { ...source, scopes: options.scopes }), take),
    { discard: true }
  )
  return { report: tally.report(), skipped }
})
