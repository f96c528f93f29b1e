import { assert, layer } from "@effect/vitest"
import { Effect, FileSystem, Layer, Stream } from "effect"
import { Command } from "effect/cli"
import { TestConsole } from "effect/testing"
import { ask } from "../../src/cli/ask.ts"
import { evaluate } from "../../src/cli/evaluate.ts"
import { rollout } from "../../src/cli/rollout.ts"
import { runs as runsCommand } from "../../src/cli/runs.ts"
import * as RunSummary from "../../src/cli/runSummary.ts"
import * as CheckpointsFileSystem from "../../src/layers/checkpoints/CheckpointsFileSystem.ts"
import * as Pretrained from "../../src/layers/model/Pretrained.ts"
import { Checkpoints } from "../../src/services/Checkpoints.ts"
import * as Tiny from "../support/tinyRun.ts"

const corpusOf = Effect.fnUntraced(function*(run: string) {
  const { config } = yield* RunSummary.read(run)
  return config.retriever.corpus
})

const version = { version: "0" }
const asking = Tiny.outcome(Command.runWith(ask, version))
const listing = Tiny.outcome(Command.runWith(runsCommand, version))
const evaluating = Tiny.outcome(Command.runWith(evaluate, version))

layer(Tiny.layer, { excludeTestServices: true, timeout: "60 seconds" })("commands on a run", (it) => {
  it.effect(
    "evaluate measures a checkpoint on the held-out world of a seed, the same each time",
    () =>
      Effect.gen(function*() {
        const { run } = yield* Tiny.TinyRun
        const args = ["--run", run, "--questions", "24", "--json"]
        const latest = yield* evaluating(args)
        assert.isUndefined(latest.error)
        const score = JSON.parse(latest.output)
        assert.deepStrictEqual(Object.keys(score), ["em", "em1", "em2", "em3", "sampled", "searches"])
        for (const share of ["em", "em1", "em2", "em3", "sampled"]) {
          assert.isTrue(score[share] >= 0 && score[share] <= 1, `${share} ${score[share]}`)
        }
        assert.isAtLeast(Number(score.searches), 0)
        assert.strictEqual((yield* evaluating([...args, "--seed", "5", "--checkpoint", "2"])).output, latest.output)
        // what cannot be known is found by searching, which this model does when it is sampled
        assert.isAbove(score.sampled, 0)
        assert.notStrictEqual((yield* evaluating([...args, "--seed", "6"])).output, latest.output)
        const first = yield* evaluating(["--run", run, "--questions", "24", "--checkpoint", "1"])
        assert.include(first.output, "24 held-out questions")
        assert.include(first.output, "after 1 step ")
      }),
    60_000
  )

  it.effect("evaluate says what is wrong with a run, and which checkpoints there are", () =>
    Effect.gen(function*() {
      const { run, world } = yield* Tiny.TinyRun
      assert.include((yield* evaluating(["--run", world])).error, "is no run: there is no config.json in it")
      const missing = yield* evaluating(["--run", run, "--checkpoint", "7"])
      assert.include(missing.error, "has no checkpoint of step 7.\nThere are those of 1, 2.")
    }), 60_000)

  it.effect(
    "rollout searches what the run searched unless flags name something else, and says so",
    () =>
      Effect.gen(function*() {
        const { run, world } = yield* Tiny.TinyRun
        const args = ["--run", run, "--questions", `${world}/train.jsonl`, "--limit", "2", "--json"]
        const rolling = (more: ReadonlyArray<string>) =>
          Effect.gen(function*() {
            yield* Command.runWith(rollout, version)([...args, ...more])
            return (yield* TestConsole.errorLines).map(String)
          }).pipe(Effect.provide(Layer.fresh(TestConsole.layer)))
        assert.deepStrictEqual((yield* rolling([])).slice(0, 1), [
          `searching what the run searched, ${yield* corpusOf(run)} (lunr)`
        ])
        const other = `${world}/dev.jsonl.corpus`
        yield* (yield* FileSystem.FileSystem).copyFile(`${world}/corpus.jsonl`, other)
        assert.deepStrictEqual((yield* rolling(["--corpus", other])).slice(0, 1), [`searching ${other}`])
      }),
    60_000
  )

  it.effect(
    "ask searches the run's own corpus, and shows what it thinks, finds and answers",
    () =>
      Effect.gen(function*() {
        const { run, world } = yield* Tiny.TinyRun
        const fs = yield* FileSystem.FileSystem
        const corpus = yield* fs.readFileString(`${world}/corpus.jsonl`)
        const sampled = ["Where is Somar Group based", "--run", run, "--temperature", "1"]
        let searched:
          | { readonly seed: string; readonly reply: Record<string, unknown>; readonly title: string }
          | undefined
        for (let seed = 0; seed < 12 && searched === undefined; seed++) {
          const { error, output } = yield* asking([...sampled, "--seed", String(seed), "--json"])
          assert.isUndefined(error)
          const reply = JSON.parse(output)
          assert.strictEqual(reply.question, "Where is Somar Group based?")
          assert.strictEqual(reply.step, 2)
          const title = reply.searches[0]?.documents[0]?.title
          if (title !== undefined) searched = { seed: String(seed), reply, title }
        }
        if (searched === undefined) return assert.fail("none of twelve samples searched")
        assert.include(corpus, searched.title.replaceAll("\"", ""))
        const { output } = yield* asking([...sampled, "--seed", searched.seed])
        assert.notInclude(output, "\u001B")
        const parts = [output.indexOf("<search>"), output.indexOf("<information>"), output.lastIndexOf("Answer")]
        assert.isAtLeast(parts[0] ?? -1, 0)
        assert.isAbove(parts[1] ?? -1, parts[0] ?? -1)
        if (searched.reply["answer"] !== null) {
          assert.isAbove(parts[2] ?? -1, parts[1] ?? -1)
          assert.include(output, `Answer: ${searched.reply["answer"]}`)
        }
      }),
    60_000
  )

  it.effect("ask says what is wrong with a question or a corpus", () =>
    Effect.gen(function*() {
      const { run, world } = yield* Tiny.TinyRun
      assert.include((yield* asking([" ", "--run", run])).error, "The question is empty.")
      assert.include((yield* asking(["Who?", "--run", run, "--corpus", `${world}/none.jsonl`])).error, "none.jsonl")
      assert.include((yield* asking(["word ".repeat(80), "--run", run])).error, "a prompt of ")
    }), 60_000)

  it.effect(
    "runs lists, shows and compares, and changes nothing of a run that is being written",
    () =>
      Effect.gen(function*() {
        const { run, runs, world } = yield* Tiny.TinyRun
        const fs = yield* FileSystem.FileSystem
        const name = run.slice(runs.length + 1)
        const going = `${runs}/29991231-000000-going`
        yield* fs.copy(run, going)
        const [first] = (yield* fs.readFileString(`${run}/log/metrics.jsonl`)).split("\n")
        const torn = `${first}\n{"step":2,"met`
        yield* fs.writeFileString(`${going}/log/metrics.jsonl`, torn)
        yield* fs.remove(`${going}/checkpoints/step-00000002`, { recursive: true })

        const list = (yield* listing(["--runs", runs])).output.split("\n")
        assert.match(list[2] ?? "", new RegExp(`^${name} .* grpo +2/2 +[0-9.]+ +[0-9.]+ +[0-9.]+ +done$`))
        assert.match(list[3] ?? "", /^29991231-000000-going .* grpo +1\/2 .* unfinished$/)

        const [asJson, other] = JSON.parse((yield* listing(["--runs", runs, "--json"])).output)
        assert.deepStrictEqual([asJson.name, asJson.step, asJson.steps, asJson.state], [name, 2, 2, "done"])
        assert.deepStrictEqual([other.step, other.state], [1, "unfinished"])
        const whole = JSON.parse((yield* listing(["show", run, "--json"])).output)
        assert.strictEqual(whole.config.algorithm, "grpo")
        assert.strictEqual(whole.metrics["val/em"], asJson.lastEm)
        assert.deepStrictEqual(whole.evaluations.map(({ step }: { readonly step: number }) => step), [1, 2])
        assert.deepStrictEqual(whole.checkpoints.map(({ step }: { readonly step: number }) => step), [1, 2])
        assert.deepStrictEqual(JSON.parse((yield* listing(["compare", run, going, "--json"])).output), [asJson, other])

        const shown = (yield* listing(["show", run])).output
        assert.include(shown, "checkpoints of steps 1, 2")
        assert.match(shown, /reward\/total\/mean +[0-9.]+/)
        assert.match(shown, /Evaluations\nstep +EM +1 hop/)

        const compared = (yield* listing(["compare", run, going])).output
        assert.match(compared, /\nsteps +2\/2 +1\/2\n/)
        assert.match(compared, /\nlast EM +[0-9.]+ +[0-9.]+\n/)
        assert.strictEqual(yield* fs.readFileString(`${going}/log/metrics.jsonl`), torn)

        assert.include((yield* listing(["--runs", world])).error, "there are no runs here")
        assert.include((yield* listing(["show", world])).error, "is no run")
        yield* fs.remove(going, { recursive: true })
      }),
    60_000
  )

  it.effect(
    "runs export saves the weights of a checkpoint as a model with its tokenizer",
    () =>
      Effect.gen(function*() {
        const { run, runs, world } = yield* Tiny.TinyRun
        const fs = yield* FileSystem.FileSystem
        const target = `${runs}/../exported/model`
        const { error, output } = yield* listing(["export", run, target, "--checkpoint", "1"])
        assert.isUndefined(error)
        assert.match(output, /exported\/model: the policy after 1 step, [0-9,]+ weights in float32$/)
        assert.includeMembers(yield* fs.readDirectory(target), ["config.json", "model.safetensors", "tokenizer.json"])

        const checkpoints = yield* Checkpoints
        const blobsOf = Effect.fnUntraced(function*(step: number) {
          const info = (yield* checkpoints.list).find((info) => info.step === step)
          return (yield* checkpoints.load(info!)).blobs
        })
        const saved = Pretrained.open(target)
        const differing = Effect.fnUntraced(function*(step: number) {
          const { weights } = yield* saved
          const blobs = yield* blobsOf(step)
          const tensors = yield* Stream.runCollect(weights.tensors)
          return tensors.filter(({ data, name }) => {
            const blob = blobs[`actor.${name}`]!
            return Buffer.compare(blob, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)) !== 0
          }).length
        })
        assert.strictEqual(yield* differing(1), 0)
        assert.isAbove(yield* differing(2), 0)

        const again = yield* listing(["export", run, target])
        assert.include(
          again.error,
          "holds a model already.\nName another folder, or replace the model in it with --overwrite."
        )
        assert.isUndefined((yield* listing(["export", run, target, "--overwrite"])).error)
        assert.strictEqual(yield* differing(2), 0)
        const half = yield* listing(["export", run, target, "--overwrite", "--precision", "bfloat16"])
        assert.match(half.output, /after 2 steps, [0-9,]+ weights in bfloat16$/)
        assert.strictEqual((yield* saved).weights.config.precision, "bfloat16")

        assert.include(
          (yield* listing(["export", run, run, "--overwrite"])).error,
          "/config.json, which this command reads"
        )
        const foreign = `${runs}/../exported/foreign`
        yield* fs.makeDirectory(foreign, { recursive: true })
        yield* fs.writeFileString(`${foreign}/config.json`, "{}")
        assert.include(
          (yield* listing(["export", run, foreign, "--overwrite"])).error,
          "holds a config.json that belongs to no model"
        )
        assert.strictEqual(yield* fs.readFileString(`${foreign}/config.json`), "{}")
        assert.include((yield* listing(["export", world, target])).error, "is no run")
        assert.include(
          (yield* listing(["export", run, `${target}2`, "--checkpoint", "7"])).error,
          "no checkpoint of step 7"
        )
        assert.isFalse(yield* fs.exists(`${target}2`))
      }).pipe(
        Effect.provide(
          Layer.unwrap(Effect.map(Tiny.TinyRun, ({ run }) => CheckpointsFileSystem.layer(`${run}/checkpoints`)))
        )
      ),
    60_000
  )
})
