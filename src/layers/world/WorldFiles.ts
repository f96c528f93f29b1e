/**
 * Writes a fictional encyclopedia and questions about it to a directory: `corpus.jsonl` in the reference's form,
 * `train.jsonl` and `dev.jsonl` in FlashRAG's, and `world.json`, which tells what made them.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, Path, Schema, Stream } from "effect"
import { formatLine } from "../../domain/Corpus.ts"
import * as Prng from "../../domain/Prng.ts"
import * as World from "../../domain/world/World.ts"
import * as WorldQuestion from "../../domain/world/WorldQuestion.ts"
import * as AtomicFile from "../atomicFile.ts"
import * as SettledFiles from "../settledFiles.ts"

/**
 * Files are there already and shall not be replaced.
 *
 * @category errors
 * @since 0.1.0
 */
export class WorldExists extends Schema.TaggedError<WorldExists>()("WorldExists", {
  paths: Schema.Array(Schema.String)
}) {
  override get message() {
    return `${this.paths.join(", ")} ${this.paths.length === 1 ? "exists" : "exist"} already`
  }
}

/**
 * What `world.json` holds: everything that the other files follow from.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Manifest = Schema.Struct({
  format: Schema.Literal(1),
  seed: Schema.String,
  size: Schema.Struct({
    people: Schema.Natural,
    companies: Schema.Natural,
    cities: Schema.Natural,
    countries: Schema.Natural
  }),
  questions: Schema.Struct({ train: Schema.Natural, dev: Schema.Natural }),
  mix: Schema.Struct({
    hops: Schema.Tuple([Schema.Finite, Schema.Finite, Schema.Finite]),
    comparison: Schema.Finite,
    yesno: Schema.Finite
  })
})

/**
 * @category models
 * @since 0.1.0
 */
export type Manifest = typeof Manifest.Type

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly directory: string
  readonly world: World.World
  readonly mix: WorldQuestion.Mix
  /** Questions of each split; no question is in both. Those for development do not depend on how many others there are. */
  readonly questions: { readonly train: number; readonly dev: number }
  /** Replace files that are there. */
  readonly force: boolean
  /** Called with the passages written so far. */
  readonly onProgress?: ((passages: number) => Effect.Effect<void>) | undefined
}

/** Lines written at once. */
const block = 512

function* blocks(lines: Iterable<string>): Generator<{ readonly text: string; readonly lines: number }> {
  let text = ""
  let count = 0
  for (const line of lines) {
    text += `${line}\n`
    count++
    if (count === block) {
      yield { text, lines: count }
      text = ""
      count = 0
    }
  }
  if (count > 0) yield { text, lines: count }
}

const writeLines = Effect.fnUntraced(function*(
  file: AtomicFile.Staged,
  lines: Iterable<string>,
  onProgress: (lines: number) => Effect.Effect<void>
): Effect.fn.Return<number, AtomicFile.FileUnwritable, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  let written = 0
  // one block at a time: the next is not made before this one is on its way to the disk
  yield* Stream.fromIterable(blocks(lines), { chunkSize: 1 }).pipe(
    Stream.tap(({ lines }) => onProgress(written += lines)),
    Stream.map(({ text }) => text),
    Stream.encodeText,
    Stream.run(fs.sink(file.temporary)),
    file.naming
  )
  return written
})

const questionLine = (question: WorldQuestion.WorldQuestion, id: string): string =>
  JSON.stringify({
    id,
    data_source: WorldQuestion.dataSources[question.kind],
    question: question.text,
    golden_answers: [question.answer],
    metadata: { hops: question.hops, gold_ids: question.gold.map(String), type: question.kind }
  })

function* questionLines(
  questions: Iterator<WorldQuestion.WorldQuestion>,
  split: string,
  count: number
): Generator<string> {
  for (let index = 0; index < count; index++) {
    const next = questions.next()
    if (next.done === true) return
    yield questionLine(next.value, `${split}_${index}`)
  }
}

function* corpusLines(world: World.World): Generator<string> {
  for (const document of World.documents(world)) yield formatLine(document)
}

const encodeManifest = Schema.encodeEffect(Schema.fromJsonString(Manifest))

/**
 * Writes the files; all of them become visible when all are whole. Memory does not grow with the passages. Fails when
 * files are in the way, or when the world has fewer different questions than asked for.
 *
 * @category writing
 * @since 0.1.0
 */
export const write = Effect.fn("WorldFiles.write")(
  function*(options: Options) {
    const { directory, mix, world } = options
    const fs = yield* FileSystem.FileSystem
    const paths = yield* Path.Path
    const pathOf = (name: string) => paths.join(directory, name)
    const names = ["corpus.jsonl", "train.jsonl", "dev.jsonl", "world.json"] as const
    const existing = yield* Effect.filter(
      names.map(pathOf),
      (path) => Effect.mapError(fs.exists(path), AtomicFile.unwritable(path))
    )
    if (!options.force && existing.length > 0) return yield* new WorldExists({ paths: existing })

    const wanted = options.questions.dev + options.questions.train
    const questions = WorldQuestion.distinct(world, Prng.make(`${world.seed}/questions`), mix)
    const [corpus, train, dev, manifest] = yield* Effect.all([
      AtomicFile.stage(pathOf("corpus.jsonl")),
      AtomicFile.stage(pathOf("train.jsonl")),
      AtomicFile.stage(pathOf("dev.jsonl")),
      AtomicFile.stage(pathOf("world.json"))
    ])
    let found = 0
    for (const [split, file] of [["dev", dev], ["train", train]] as const) {
      const count = options.questions[split]
      const lines = questionLines(questions, split, count)
      const written = yield* writeLines(file, lines, () => Effect.void)
      found += written
      if (written < count) return yield* new WorldQuestion.QuestionsExhausted({ wanted, found })
    }
    yield* writeLines(corpus, corpusLines(world), options.onProgress ?? (() => Effect.void))
    const description: Manifest = { format: 1, seed: world.seed, size: world.size, questions: options.questions, mix }
    yield* manifest.naming(
      fs.writeFileString(manifest.temporary, `${yield* Effect.orDie(encodeManifest(description))}\n`)
    )
    const staged = { "corpus.jsonl": corpus, "train.jsonl": train, "dev.jsonl": dev, "world.json": manifest }
    const placed: Array<string> = []
    // the one that tells of the others goes first and comes last: it never tells of a mixture
    yield* Effect.gen(function*() {
      yield* Effect.mapError(
        fs.remove(pathOf("world.json"), { force: true }),
        AtomicFile.unwritable(pathOf("world.json"))
      )
      for (const name of names) {
        placed.push(pathOf(name))
        yield* staged[name].commit
      }
    }).pipe(
      Effect.onError(() =>
        Effect.forEach(
          placed.filter((path) => !existing.includes(path)),
          (path) => Effect.ignore(fs.remove(path, { force: true })),
          { discard: true }
        )
      ),
      Effect.uninterruptible
    )
    return { corpus: pathOf("corpus.jsonl"), train: pathOf("train.jsonl"), dev: pathOf("dev.jsonl") }
  },
  Effect.scoped,
  SettledFiles.settled
)
