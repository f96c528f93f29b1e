/** What is given for something else is told by what it is, and how it is given. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, layer } from "@effect/vitest"
import { Effect, FileSystem, Layer } from "effect"
import { Command } from "effect/cli"
import { TestConsole } from "effect/testing"
import { commands } from "../../src/cli/commands.ts"
import { demoFile, shippedModel } from "../../src/layers/assets.ts"

const root = Command.make("search-r1").pipe(Command.withSubcommands(commands))

const failure = (...args: ReadonlyArray<string>) =>
  Command.runWith(root, { version: "0", renderErrors: false })(args).pipe(
    Effect.as(""),
    Effect.catch((error) => Effect.succeed(String(error instanceof Error ? error.message : error))),
    Effect.provide(Layer.fresh(TestConsole.layer))
  )

layer(NodeServices.layer)("a path of another kind", (it) => {
  it.effect("is named, with the flag that takes it", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const d = yield* fs.makeTempDirectoryScoped()
      for (const name of ["corpus", "questions", "script"] as const) {
        yield* fs.copyFile(demoFile(name), `${d}/${name}.jsonl`)
      }
      const [corpus, questions, script, index, run] = [
        `${d}/corpus.jsonl`,
        `${d}/questions.jsonl`,
        `${d}/script.jsonl`,
        `${d}/corpus.idx`,
        `${d}/a run`
      ]
      yield* failure("index", "build", corpus)
      yield* fs.makeDirectory(run)
      yield* fs.writeFileString(`${run}/config.json`, "{\"algorithm\":\"grpo\",\"rollout\":{}}")
      const rollout = (over: Record<string, string>) => [
        "rollout",
        ...Object.entries({ questions, corpus, ...over }).flatMap(([flag, value]) => [`--${flag}`, value])
      ]
      const cases: ReadonlyArray<readonly [args: ReadonlyArray<string>, message: string]> = [
        [
          ["search", "q", "--corpus", index],
          `${index} is an index, and a corpus is wanted.\nGive it as --index ${index}.`
        ],
        [
          ["search", "q", "--corpus", index, "--engine", "bm25"],
          `${index} is an index, and a corpus is wanted.\nGive it as --index ${index}.`
        ],
        [
          ["search", "q", "--index", corpus],
          `${corpus} is a corpus, and an index is wanted.\nGive it as --corpus ${corpus}.`
        ],
        [["search", "q", "--corpus", questions], `${questions} is a file of questions, and a corpus is wanted.`],
        [["serve", "--index", run], `${run} is a run's directory, and an index is wanted.`],
        [
          rollout({ questions: corpus, script }),
          `${corpus} is a corpus, and a file of questions is wanted.\nGive it as --corpus ${corpus}.`
        ],
        [
          rollout({ questions, script: questions }),
          `${questions} is a file of questions, and a script of a policy is wanted.\nGive it as --questions ${questions}.`
        ],
        [rollout({ model: run }), `${run} is a run's directory, and a model is wanted.\nGive it as --run '${run}'.`],
        [
          rollout({ run: shippedModel }),
          `${shippedModel} is a model, and a run's directory is wanted.\nGive it as --model ${shippedModel}.`
        ],
        [["runs", "show", shippedModel], `${shippedModel} is a model, and a run's directory is wanted.`],
        [["train", "--resume", shippedModel], `${shippedModel} is a model, and a run's directory is wanted.`],
        [
          ["train", "--config", run],
          `${run} is a run's directory, and a run's configuration is wanted.\nGive it as --resume '${run}'.`
        ],
        [
          ["train", "--set", `questions.train=${questions}`, "--set", `retriever.corpus=${index}`],
          `${index} is an index, and a corpus is wanted.\nGive it by --set retriever.kind=index --set retriever.corpus=${index}.`
        ],
        [
          ["train", "--set", `questions.train=${corpus}`, "--set", `retriever.corpus=${corpus}`],
          `${corpus} is a corpus, and a file of questions is wanted.\nGive it by --set retriever.corpus=${corpus}.`
        ],
        [
          [
            "train",
            "--set",
            `questions.train=${questions}`,
            "--set",
            `retriever.corpus=${corpus}`,
            "--set",
            `model=${run}`
          ],
          `${run} is a run's directory, and a model is wanted.\n"search-r1 runs export '${run}' DIRECTORY" saves what it has learned as a model.`
        ],
        [
          ["index", "info", corpus],
          `${corpus} is a corpus, and an index is wanted.\n"search-r1 index build ${corpus}" makes an index of it.`
        ],
        [
          ["index", "build", index],
          `${index} is an index, and a corpus is wanted.\n"search-r1 index info ${index}" says what it holds.`
        ],
        [
          ["index", "bench", "--questions", corpus, "--index", index],
          `${corpus} is a corpus, and a file of questions is wanted.\nGive it as --corpus ${corpus}.`
        ],
        [
          ["sft", `${d}/out`, "--data", script, "--model", run],
          `${run} is a run's directory, and a model is wanted.\nGive it as --run '${run}'.`
        ],
        [["score", corpus], `${corpus} is a corpus, and a file of trajectories is wanted.`],
        [
          ["data", corpus, "--out", `${d}/out.jsonl`],
          `${corpus} is a corpus, and a file of questions is wanted.\nGive it as --corpus ${corpus}.`
        ],
        [
          ["device", "plan", run],
          `${run} is a run's directory, and a model is wanted.\n"search-r1 runs export '${run}' DIRECTORY" saves what it has learned as a model.`
        ]
      ]
      for (const [args, message] of cases) assert.strictEqual(yield* failure(...args), message, args.join(" "))
    }).pipe(Effect.scoped), 30_000)
})
