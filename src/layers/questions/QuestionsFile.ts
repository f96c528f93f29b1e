/**
 * Questions from files: JSON lines or arrays (also gzip) in FlashRAG's form, and Parquet in the reference's record form.
 *
 * @since 0.1.0
 */
import { Effect, Layer, Result, Stream } from "effect"
import * as Prng from "../../domain/Prng.ts"
import type { Question } from "../../domain/Question.ts"
import * as QuestionRecord from "../../domain/QuestionRecord.ts"
import { Questions, QuestionsUnreadable } from "../../services/Questions.ts"
import * as RecordFile from "../recordFile.ts"
import type { FileUnreadable } from "../textFile.ts"
import * as QuestionsMemory from "./QuestionsMemory.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options extends QuestionsMemory.Options {
  /** One file after the other makes the data set, as the reference's merge scripts do it. */
  readonly paths: ReadonlyArray<string>
  /** Data source of records that name none; the default is the file's name, or its folder's for `train`, `dev` and `test`. */
  readonly dataSource?: string | undefined
  /** Leaves out questions of other data sources. */
  readonly dataSources?: ReadonlyArray<string> | undefined
  /** Takes so many questions at random, the same ones for the same seed, in the order of the files. */
  readonly sample?: number | undefined
}

const splits = new Set(["train", "dev", "test", "val", "valid", "validation"])

/**
 * The data source of a file's records that name none.
 *
 * @category getters
 * @since 0.2.0
 */
export const dataSourceOf = (path: string): string => {
  const [file = path, folder] = path.split(/[/\\]/).toReversed()
  const stem = file.replace(/\.(?:jsonl?|ndjson|parquet)?(?:\.gz)?$/, "") || file
  return splits.has(stem) && folder !== undefined && folder !== "" && folder !== "." ? folder : stem
}

const unreadable = ({ path, reason }: FileUnreadable) => new QuestionsUnreadable({ path, reason })

/**
 * All questions of a file in file order. Whether it is Parquet, gzip or text is told from its first bytes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const read = Effect.fn("QuestionsFile.read")(function*(
  path: string,
  options?: { readonly dataSource?: string | undefined }
): Effect.fn.Return<ReadonlyArray<Question>, QuestionsUnreadable> {
  const dataSource = options?.dataSource ?? dataSourceOf(path)
  const questions: Array<Question> = []
  yield* Stream.runForEach(Stream.mapError(RecordFile.batches(path, QuestionRecord.columns), unreadable), (records) => {
    for (const { line, value } of records) {
      const parsed = Result.flatMap(value, (value) => QuestionRecord.fromJson(value, { id: String(line), dataSource }))
      if (Result.isFailure(parsed)) {
        return Effect.fail(new QuestionsUnreadable({ path, line, reason: parsed.failure }))
      }
      questions.push(parsed.success)
    }
    return Effect.void
  })
  return questions
})

const sampled = (
  questions: ReadonlyArray<Question>,
  sample: number | undefined,
  seed: string | number = 0
): ReadonlyArray<Question> =>
  sample === undefined || sample >= questions.length
    ? questions
    : Prng.shuffle(Prng.make(`${seed}/sample`), [...questions.keys()])
      .slice(0, Math.max(0, sample))
      .sort((a, b) => a - b)
      .flatMap((index) => questions[index] ?? [])

/** The questions that the options ask for. */
const load = Effect.fnUntraced(function*(options: Options) {
  const wanted = options.dataSources === undefined ? undefined : new Set(options.dataSources)
  const all = (yield* Effect.forEach(options.paths, (path) => read(path, options))).flat()
  const questions = all.filter((question) => wanted?.has(question.dataSource) ?? true)
  if (questions.length > 0) return sampled(questions, options.sample, options.seed)
  const found = new Set(all.map((question) => question.dataSource))
  return yield* new QuestionsUnreadable({
    path: options.paths.join(", "),
    reason: found.size === 0
      ? "there are no questions in it"
      : `there are no questions of ${[...(wanted ?? [])].join(", ")} in it, only of ${[...found].join(", ")}`
  })
})

/**
 * Serves the questions of files. They are read when they are first asked for, and kept in memory.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Questions> =>
  Layer.effect(
    Questions,
    Effect.gen(function*() {
      const loaded = yield* Effect.cached(
        Effect.map(load(options), (questions) => QuestionsMemory.make(questions, options))
      )
      return Questions.of({
        size: Effect.flatMap(loaded, (questions) => questions.size),
        all: Stream.unwrap(Effect.map(loaded, (questions) => questions.all)),
        from: (cursor) => Stream.unwrap(Effect.map(loaded, (questions) => questions.from(cursor)))
      })
    })
  )
