/** Every command answers every kind of bad input in one style: what, where and how to mend it, on standard error alone. */
// @effect-diagnostics nodeBuiltinImport:off
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, layer } from "@effect/vitest"
import { Effect, Exit, FileSystem, Layer, Logger, Stdio } from "effect"
import { Command } from "effect/cli"
import { TestConsole } from "effect/testing"
import { createServer } from "node:net"
import { commands } from "../../src/cli/commands.ts"
import * as Help from "../../src/cli/help.ts"
import { demoFile, shippedModel } from "../../src/layers/assets.ts"

const root = Command.make("search-r1").pipe(Command.withSubcommands(commands))

const call = Effect.fnUntraced(function*(args: ReadonlyArray<string>) {
  const stdio = yield* Stdio.Stdio
  return yield* Effect.gen(function*() {
    const exit = yield* Effect.exit(Command.runWith(root, { version: "0" })(args).pipe(Effect.tapError(Help.report)))
    return {
      failed: Exit.isFailure(exit),
      out: (yield* TestConsole.logLines).map(String),
      error: (yield* TestConsole.errorLines).map(String).join("\n")
    }
  }).pipe(
    Effect.provide(Help.layer),
    Effect.provideService(Stdio.Stdio, { ...stdio, args: Effect.succeed(args) }),
    Effect.provide([Layer.fresh(TestConsole.layer), Layer.succeed(Logger.LogToStderr, true)]),
    Effect.timeout("20 seconds")
  )
})

/** Words of the machine room. */
const forbidden = [
  "SchemaError",
  "Expected ",
  "Missing key",
  "ENOENT",
  "EISDIR",
  "ENOTDIR",
  "EADDRINUSE",
  "undefined",
  "[object",
  "Cause"
]

const expectAnswer = Effect.fnUntraced(
  function*(args: ReadonlyArray<string>, ...named: ReadonlyArray<string | RegExp>) {
    const { error, failed, out } = yield* call(args)
    const what = `${args.join(" ")}\n${error}`
    assert.isTrue(failed, what)
    assert.deepStrictEqual(out, [], what)
    assert.match(error, /^(\[.*WARN.*\n|Fine-tuning .*\n)*error: /, what)
    assert.isAtMost(error.split("\n").length, 8, what)
    assert.notMatch(error, /\n\s+at /, what)
    for (const word of forbidden) assert.notInclude(error, word, what)
    for (const one of named) {
      if (typeof one === "string") assert.include(error, one, what)
      else assert.match(error, one, what)
    }
  }
)

/** What a place of a command line takes. */
type Kind = "records" | "json" | "run" | "model" | "index"

interface Spec {
  /** Arguments that are fine but for what is tried. */
  readonly rest?: ReadonlyArray<string>
  /** What must be given besides where that is not tried. */
  readonly required?: ReadonlyArray<string>
  /** Flags (and "" for an argument) that take a path. */
  readonly paths?: ReadonlyArray<readonly [flag: string, kind: Kind]>
  /** Flags that take a value. */
  readonly values?: ReadonlyArray<string>
  /** Values that are none of a flag's. */
  readonly wrong?: ReadonlyArray<readonly [flag: string, value: string, expected: string]>
}

const questions = demoFile("questions")
const corpus = demoFile("corpus")
const script = demoFile("script")

const wholeNumber = "a whole number"
const searching: Spec = {
  values: ["--corpus", "--index", "--timeout"],
  wrong: [
    ["--engine", "bm52", "lunr or bm25; did you mean bm25?"],
    ["--timeout", "5", "a time with its unit, such as \"5 seconds\""],
    ["--retries", "-1", "of at least 0; the nearest is 0"],
    ["--rate-limit", "0", "a number above 0"],
    ["--remote", "localhost:8000", "http://127.0.0.1:8000/retrieve"]
  ]
}

const specs: Readonly<Record<string, Spec>> = {
  start: {
    paths: [["--resume", "run"]],
    values: ["--seed", "--device"],
    wrong: [["--steps", "many", wholeNumber], ["--device", "gpu", "did you mean cpu?"]]
  },
  train: {
    paths: [["--config", "json"], ["--resume", "run"]],
    values: ["--set", "--config"],
    wrong: [
      ["--set", "steps=many", "a whole number of at least 1"],
      ["--set", "sede=1", "did you mean seed?"],
      ["--preset", "paper", "did you mean paper-ppo?"]
    ]
  },
  evaluate: {
    paths: [["--run", "run"]],
    values: ["--run"],
    required: ["--run", "run"],
    wrong: [["--questions", "0", "of at least 1; the nearest is 1"], [
      "--checkpoint",
      "newest",
      "best, latest or a step"
    ]]
  },
  ask: {
    rest: ["Who?"],
    required: ["--run", "run"],
    paths: [["--run", "run"]],
    values: ["--run"],
    wrong: [["--temperature", "hot", "a number"]]
  },
  runs: { values: ["--runs"] },
  "runs show": { paths: [["", "run"]] },
  "runs compare": { rest: ["other"], paths: [["", "run"]] },
  "runs plot": { rest: ["--out", "never.svg"], paths: [["", "run"]], values: ["--out"] },
  "runs export": {
    rest: ["never"],
    required: ["run"],
    paths: [["", "run"]],
    wrong: [["--precision", "float8", "did you mean"]]
  },
  ablate: {
    rest: ["never"],
    paths: [["--topics", "json"]],
    values: ["--topic"],
    wrong: [["--topic", "masks", "There are algorithm, mask"], ["--steps", "x", wholeNumber]]
  },
  pretrain: {
    rest: ["never"],
    paths: [["--from", "model"]],
    values: ["--hops"],
    wrong: [["--hops", "a,b", "--hops 40,50,10"], ["--layers", "0", "of at least 1"]]
  },
  sft: {
    rest: ["never"],
    paths: [["--data", "records"]],
    values: ["--data"],
    required: ["--data", "data"],
    wrong: [["--epochs", "0", "of at least 1"]]
  },
  world: { rest: ["never"], values: ["--size"], wrong: [["--size", "3", "20 to"], ["--hops", "x", "--hops 40,50,10"]] },
  search: {
    rest: ["query"],
    paths: [["--corpus", "records"], ["--index", "index"]],
    ...searching,
    wrong: [...searching.wrong ?? [], ["--top-k", "abc", wholeNumber], ["--top-k", "5000", "from 1 to 1000"]]
  },
  "index build": {
    required: [corpus],
    paths: [["", "records"]],
    values: ["--out"],
    wrong: [["--k1", "-1", "a number above 0"]]
  },
  "index info": { paths: [["", "index"]] },
  "index verify": { paths: [["", "index"]] },
  "index bench": { rest: ["--corpus", corpus], paths: [["--questions", "records"]], values: ["--questions"] },
  "index install": { wrong: [["", "lancet", "did you mean lance?"]] },
  serve: {
    paths: [["--corpus", "records"], ["--index", "index"]],
    ...searching,
    wrong: [
      ...searching.wrong ?? [],
      ["--port", "70000", "from 0 to 65535; the nearest is 65535"],
      ["--port", "-1", "from 0 to 65535; the nearest is 0"],
      ["--port", "http", wholeNumber]
    ]
  },
  score: {
    required: [questions],
    paths: [["", "records"]],
    values: ["--out"],
    wrong: [["--preset", "refrence", "did you mean reference?"]]
  },
  rollout: {
    rest: ["--corpus", corpus, "--script", script],
    paths: [["--questions", "records"]],
    values: ["--questions"],
    wrong: [["--limit", "0", "of at least 1"], ["--reward", "me", "did you mean em?"]]
  },
  data: {
    required: [questions],
    rest: ["--out", "/dev/null"],
    paths: [["", "records"]],
    values: ["--out"],
    wrong: [["--sample", "0", "of at least 1"]]
  },
  demo: { values: ["--out"] },
  "device list": {},
  "device install tensorflow": { values: ["--from"] },
  "device install torch": { values: ["--from"] },
  "device plan": { required: ["model"], paths: [["", "model"]], wrong: [["--sessions", "0", "of at least 1"]] },
  logits: {
    rest: [shippedModel],
    paths: [["--ids", "json"]],
    values: ["--ids"],
    required: ["--ids", "ids.json"],
    wrong: [["--greedy", "-1", "0 or more"], ["--device", "gpu", "did you mean cpu?"]]
  }
}

type Any = Command.Command.Any

const leaves = (all: ReadonlyArray<Any>, before = ""): ReadonlyArray<string> =>
  all.flatMap((command) => {
    const name = `${before}${command.name}`
    const below = leaves(command.subcommands.flatMap(({ commands }) => commands), `${name} `)
    // those that only group others are no commands of their own, but runs lists
    return below.length === 0 || name === "runs" ? [name, ...below] : below
  })

const bad = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped()
  yield* fs.makeDirectory(`${directory}/folder`)
  yield* fs.writeFileString(`${directory}/bad.jsonl`, "{\"id\":\"1\", x}\n")
  yield* fs.writeFileString(`${directory}/bad.json`, "{\n  \"steps\": 1,\n}\n")
  return directory
})

const given = (flag: string, value: string): ReadonlyArray<string> => flag === "" ? [value] : [flag, value]

layer(NodeServices.layer, { excludeTestServices: true })("a bad call", (it) => {
  it.effect("is tried of every command", () =>
    Effect.sync(() => assert.sameMembers(Object.keys(specs), [...leaves(commands)])))

  for (const [name, { paths = [], required = [], rest = [], values = [], wrong = [] }] of Object.entries(specs)) {
    it.effect(`of ${name} is answered`, () =>
      Effect.gen(function*() {
        const directory = yield* bad
        const words = name.split(" ")
        const usage = `usage: search-r1 ${name} `
        yield* expectAnswer([...words, ...rest, "--nosuch"], "there is no flag --nosuch here", usage.trim())
        for (const flag of values) {
          yield* expectAnswer([...words, ...rest, flag], `${flag} needs a value`, usage.trim())
        }
        for (const [flag, value, expected] of wrong) {
          yield* expectAnswer([...words, ...required, ...rest, ...given(flag, value)], expected)
        }
        for (const [flag, kind] of paths) {
          const at = (file: string) => [...words, ...given(flag, `${directory}/${file}`), ...rest]
          yield* expectAnswer(at("none"), `${directory}/none`, /there is no|is no run/)
          if (kind === "records" || kind === "json") {
            yield* expectAnswer(at("folder"), `${directory}/folder: this is a directory, a file is needed`)
            const file = kind === "records" ? "bad.jsonl" : "bad.json"
            yield* expectAnswer(
              at(file),
              `${directory}/${file}`,
              kind === "records"
                ? "line 1, column 12: the name of a field stands in double quotes"
                : "line 2, column 13"
            )
          } else yield* expectAnswer(at("folder"), `${directory}/folder`)
          yield* expectAnswer(at("bad.jsonl"), `${directory}/bad.jsonl`)
        }
      }).pipe(Effect.scoped), 60_000)
  }

  it.effect("of serve at a port that is taken is answered", () =>
    Effect.gen(function*() {
      const server = yield* Effect.acquireRelease(
        Effect.callback<ReturnType<typeof createServer>>((resume) => {
          const server = createServer()
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      const address = server.address()
      const port = typeof address === "object" && address !== null ? String(address.port) : ""
      yield* expectAnswer(["serve", "--corpus", corpus, "--port", port], `port ${port} of 127.0.0.1 is taken`)
    }).pipe(Effect.scoped), 30_000)

  it.effect("with a value that begins with a dash is one error", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [args: ReadonlyArray<string>, error: string]> = [
        [
          ["search", "-pier", "--corpus", corpus],
          "'-pier' begins with a dash and is read as flags; text that does so stands behind --:\n  npx search-r1 search … -- '-pier'"
        ],
        [["search", "q", "-k5"], "-k5: write -k 5"],
        [
          ["search", "--corpus", "-x y", "q"],
          "--corpus needs a value: one that begins with a dash is written --corpus='-x y'"
        ]
      ]
      for (const [args, error] of cases) {
        const said = yield* call(args)
        // what a command begins with depends on how the tests were called
        const printed = said.error.replace("\n  search-r1 ", "\n  npx search-r1 ")
        assert.isTrue(printed.startsWith(`error: ${error}\nusage: search-r1 search `), said.error)
        assert.strictEqual(said.error.split("error: ").length, 2, said.error)
      }
      assert.isFalse((yield* call(["search", "--corpus", corpus, "--", "-pier"])).failed)
    }), 30_000)

  it.effect(
    "of questions without a policy, and of a policy without questions, is answered",
    () =>
      Effect.gen(function*() {
        yield* expectAnswer(["rollout", "--questions", questions], "one of --model DIR, --run DIR and --script FILE")
        yield* expectAnswer(["rollout", "--script", script, "--corpus", corpus], "--questions FILE")
      }),
    30_000
  )
})
