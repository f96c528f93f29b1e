/** What commands write, whatever operation on their files goes wrong. */
import { Effect, FileSystem } from "effect"
import { Command } from "effect/cli"
import { commands } from "../../src/cli/commands.ts"
import * as RunFolder from "../../src/cli/runFolder.ts"
import * as RunInputs from "../../src/cli/runInputs.ts"
import * as RunConfig from "../../src/domain/RunConfig.ts"
import * as Weights from "../../src/layers/model/Weights.ts"
import { faultsContract, type Writer } from "../contract/faults.ts"
import { numbersOf, smallConfig } from "../layers/model/modelFiles.ts"

const root = Command.make("search-r1").pipe(Command.withSubcommands(commands))

const call = (...args: ReadonlyArray<string>) => Command.runWith(root, { version: "0", renderErrors: false })(args)

const records = ["Paris", "Rome"].map((answer, index) => ({
  id: String(index),
  data_source: "nq",
  question: `Who is in ${answer}?`,
  golden_answers: [answer],
  response: `<answer>${answer}</answer>`
}))

const lines = (values: ReadonlyArray<object>): string => values.map((value) => `${JSON.stringify(value)}\n`).join("")

/** What commands read, and a file that they replace. */
const inputs = Effect.fnUntraced(function*(directory: string) {
  const fs = yield* FileSystem.FileSystem
  yield* fs.writeFileString(`${directory}/records.jsonl`, lines(records))
  yield* fs.writeFileString(
    `${directory}/corpus.jsonl`,
    lines(["Paris", "Rome"].map((id) => ({ id, contents: `"${id}"\nA capital.` })))
  )
  yield* fs.writeFileString(
    `${directory}/script.jsonl`,
    lines(records.map(({ id, response }) => ({ id, samples: [[response]] })))
  )
  yield* fs.writeFileString(`${directory}/out`, "old\n")
})

const contentOf = (name: string): Writer["read"] => (directory) =>
  FileSystem.FileSystem.use((fs) => fs.readFileString(`${directory}/${name}`))

/** Commands whose result is one file. */
const writers: ReadonlyArray<
  Pick<Writer, "name" | "keeps" | "read"> & {
    readonly args: (directory: string) => ReadonlyArray<string>
  }
> = [
  {
    name: "data --out",
    args: (directory) => ["data", `${directory}/records.jsonl`, "--out", `${directory}/out`],
    read: contentOf("out")
  },
  {
    name: "score --out",
    args: (directory) => ["score", `${directory}/records.jsonl`, "--out", `${directory}/out`],
    read: contentOf("out")
  },
  {
    name: "rollout --out",
    args: (directory) => [
      "rollout",
      "--questions",
      `${directory}/records.jsonl`,
      "--script",
      `${directory}/script.jsonl`,
      "--corpus",
      `${directory}/corpus.jsonl`,
      "--cache",
      "off",
      "--out",
      `${directory}/out`
    ],
    read: contentOf("out"),
    // rollouts that were finished are kept beside
    keeps: /^out\.partial/
  },
  {
    name: "index build",
    args: (directory) => ["index", "build", `${directory}/corpus.jsonl`, "--out", `${directory}/new.idx`],
    read: contentOf("new.idx")
  },
  {
    name: "world",
    args: (directory) => ["world", `${directory}/world`, "--size", "20", "--questions", "3", "--dev", "2", "--force"],
    read: contentOf("world/world.json")
  }
]

for (const { args, keeps, name, read } of writers) {
  faultsContract({ name, before: inputs, write: (directory) => call(...args(directory)), read, keeps, sample: 3 })
}

const settings = (directory: string) =>
  Effect.orDie(Effect.fromResult(RunConfig.resolve({ algorithm: "grpo", seed: 7, model: `${directory}/model` })))

faultsContract({
  name: "what a run began with",
  before: (directory) =>
    Effect.andThen(
      inputs(directory),
      Weights.save(`${directory}/model`, { config: smallConfig(), read: (spec) => Effect.succeed(numbersOf(spec)) })
    ),
  write: (directory) =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* RunFolder.at(`${directory}/runs/one`)
      yield* RunFolder.removeUnbegun(folder)
      yield* RunFolder.claim(folder)
      yield* RunInputs.settle(folder, yield* settings(directory), `${directory}/records.jsonl`)
    })),
  read: (directory) =>
    Effect.gen(function*() {
      const folder = yield* RunFolder.at(`${directory}/runs/one`)
      const { seed } = yield* RunFolder.readConfig(folder)
      // by its settings a run is known: what it reads is written down before
      const recorded = yield* Effect.flatMap(RunInputs.read(folder), Effect.fromOption)
      return { seed, keys: recorded.inputs.map(({ key }) => key) }
    }),
  sample: 2
})
