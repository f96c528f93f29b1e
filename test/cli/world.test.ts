import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Stream } from "effect"
import { Command } from "effect/cli"
import { TestConsole } from "effect/testing"
import { world } from "../../src/cli/world.ts"
import * as World from "../../src/domain/world/World.ts"
import * as CorpusFile from "../../src/layers/retriever/CorpusFile.ts"

const run = Command.runWith(world, { version: "0" })

interface QuestionLine {
  readonly id: string
  readonly question: string
  readonly golden_answers: ReadonlyArray<string>
  readonly metadata: { readonly hops: number; readonly gold_ids: ReadonlyArray<string>; readonly type: string }
}

/** A directory to write to, what reads its files, and what runs the command on it. */
const inDirectory = <A, E>(
  use: (tools: {
    readonly directory: string
    readonly fs: FileSystem.FileSystem
    readonly write: (args: ReadonlyArray<string>) => Effect.Effect<string | undefined, never, NodeServices.NodeServices>
    readonly questions: (split: string) => Effect.Effect<ReadonlyArray<QuestionLine>>
  }) => Effect.Effect<A, E, NodeServices.NodeServices>
) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const directory = `${yield* fs.makeTempDirectoryScoped()}/deep/world`
    return yield* use({
      directory,
      fs,
      write: (args) =>
        run([directory, ...args]).pipe(
          Effect.as(undefined),
          Effect.catch((error) => Effect.succeed(error.message))
        ),
      questions: (split) =>
        fs.readFileString(`${directory}/${split}.jsonl`).pipe(
          Effect.map((text) => text.trimEnd().split("\n").map((line): QuestionLine => JSON.parse(line))),
          Effect.orDie
        )
    })
  }).pipe(Effect.provide([NodeServices.layer, TestConsole.layer]))

describe("search-r1 world", () => {
  it.live("writes a corpus that can be read, and questions whose gold passages hold the answers", () =>
    inDirectory(({ directory, fs, questions, write }) =>
      Effect.gen(function*() {
        assert.isUndefined(yield* write(["--seed", "7", "--size", "1000", "--questions", "300", "--dev", "100"]))
        const corpus = yield* Stream.runCollect(CorpusFile.stream(`${directory}/corpus.jsonl`))
        const made = World.make({ seed: "7", size: { people: 750, companies: 150, cities: 100, countries: 25 } })
        assert.deepStrictEqual(corpus, [...World.documents(made)])
        const [train, dev] = [yield* questions("train"), yield* questions("dev")]
        assert.strictEqual(train.length, 300)
        assert.strictEqual(dev.length, 100)
        assert.strictEqual(new Set([...train, ...dev].map(({ question }) => question)).size, 400)
        for (const { golden_answers: [answer], metadata: { gold_ids, hops, type } } of [...train, ...dev]) {
          assert.strictEqual(type, "chain")
          assert.strictEqual(gold_ids.length, hops)
          assert.include(corpus[Number(gold_ids.at(-1))]?.text, answer)
        }
        assert.deepStrictEqual((yield* fs.readDirectory(directory)).sort(), [
          "corpus.jsonl",
          "dev.jsonl",
          "train.jsonl",
          "world.json"
        ])
        const lines = (yield* TestConsole.logLines).map(String).join("\n")
        assert.include(lines, "1,000 passages about 750 people, 150 companies and 100 cities")
      })
    ))

  it.live("writes the same for the same seed, and development questions that do not depend on the others", () =>
    inDirectory(({ directory, fs, write }) =>
      Effect.gen(function*() {
        const read = (name: string) => fs.readFileString(`${directory}/${name}.jsonl`)
        yield* write(["--questions", "50", "--dev", "20"])
        const [corpus, train, dev] = [yield* read("corpus"), yield* read("train"), yield* read("dev")]
        yield* write(["--questions", "60", "--dev", "20", "--force"])
        assert.strictEqual(yield* read("corpus"), corpus)
        assert.strictEqual(yield* read("dev"), dev)
        assert.isTrue((yield* read("train")).startsWith(train))
        yield* write(["--questions", "50", "--dev", "20", "--force", "--seed", "1"])
        assert.notStrictEqual(yield* read("corpus"), corpus)
      })
    ))

  it.live("asks the kinds of questions that are wanted", () =>
    inDirectory(({ questions, write }) =>
      Effect.gen(function*() {
        yield* write(["--hops", "0/1/1", "--comparison", "0.5", "--yesno", "0.25", "--dev", "0", "--questions", "400"])
        const asked = (yield* questions("train")).map(({ metadata }) => `${metadata.type}${metadata.hops}`)
        const count = (kind: string) => asked.filter((other) => other === kind).length
        assert.closeTo(count("comparison2"), 200, 40)
        assert.closeTo(count("yesno2"), 100, 35)
        assert.closeTo(count("chain2"), 50, 30)
        assert.closeTo(count("chain3"), 50, 30)
      })
    ))

  it.live("replaces nothing unless told to, and leaves what is there when it fails", () =>
    inDirectory(({ directory, fs, write }) =>
      Effect.gen(function*() {
        yield* fs.makeDirectory(directory, { recursive: true })
        yield* fs.writeFileString(`${directory}/dev.jsonl`, "mine")
        assert.match((yield* write([])) ?? "", /dev\.jsonl exists already\nWith --force/)
        assert.match(
          (yield* write(["--size", "20", "--force"])) ?? "",
          /1500 different questions .* \d+ were found\nAsk for fewer/
        )
        assert.deepStrictEqual(yield* fs.readDirectory(directory), ["dev.jsonl"])
        assert.strictEqual(yield* fs.readFileString(`${directory}/dev.jsonl`), "mine")
      })
    ))

  it.live.each<readonly [ReadonlyArray<string>, RegExp]>([
    [["--size", "3"], /20 to 10000000 passages in whole numbers, not 3/],
    [["--hops", "a,b"], /--hops a,b: expected the weights/],
    [["--hops", "1,2,3,4"], /expected the weights/],
    [["--hops", "0,0"], /weights of hops must be above 0/],
    [["--hops=-1,2"], /weights of hops must be 0 or more/],
    [["--comparison", "0.6", "--yesno", "0.6"], /1 at most together/]
  ])(
    "explains what is wrong with %j",
    ([args, message]) =>
      inDirectory(({ directory, fs, write }) =>
        Effect.gen(function*() {
          assert.match((yield* write(args)) ?? "", message)
          assert.isFalse(yield* fs.exists(directory))
        })
      )
  )
})
