import { assert, layer } from "@effect/vitest"
import { Effect, FileSystem, Option, Result, Schema, Stream } from "effect"
import { Command } from "effect/cli"
import { rollout } from "../../src/cli/rollout.ts"
import { runs } from "../../src/cli/runs.ts"
import { sft } from "../../src/cli/sft.ts"
import { readExamples } from "../../src/cli/sftData.ts"
import { fromJson } from "../../src/domain/Demonstration.ts"
import { lossMask, tokenIds } from "../../src/domain/Trajectory.ts"
import { shippedModel } from "../../src/layers/assets.ts"
import * as CheckpointsMemory from "../../src/layers/checkpoints/CheckpointsMemory.ts"
import * as ContentHash from "../../src/layers/contentHash.ts"
import * as Pretrained from "../../src/layers/model/Pretrained.ts"
import * as PolicyEngine from "../../src/layers/policy/PolicyEngine.ts"
import * as Finetune from "../../src/programs/Finetune.ts"
import { TrajectoryRecord } from "../../src/services/RunLog.ts"
import { Tokenizer } from "../../src/services/Tokenizer.ts"
import * as Tiny from "../support/tinyRun.ts"

const version = { version: "0" }
const finetuning = Tiny.outcome(Command.runWith(sft, version))
const exporting = Tiny.outcome(Command.runWith(runs, version))
const rolling = Tiny.outcome(Command.runWith(rollout, version))

const decodeRecord = Schema.decodeUnknownSync(Schema.toCodecJson(TrajectoryRecord))

const logged = Effect.gen(function*() {
  const { run } = yield* Tiny.TinyRun
  const fs = yield* FileSystem.FileSystem
  const file = `${run}/log/trajectories.jsonl`
  const records = (yield* fs.readFileString(file)).trim().split("\n").map((line) => JSON.parse(line) as unknown)
  return { file, records }
})

const examplesOf = (records: ReadonlyArray<unknown>) =>
  Effect.gen(function*() {
    const { tokenizer } = yield* Pretrained.open(shippedModel)
    return yield* Effect.forEach(records, (record, index) =>
      Finetune.toExample(Result.getOrThrow(fromJson(record)), String(index))).pipe(
        Effect.provideService(Tokenizer, tokenizer)
      )
  })

layer(Tiny.layer, { excludeTestServices: true, timeout: "60 seconds" })("search-r1 sft", (it) => {
  it.effect("learns from exactly the tokens that a run's policy sampled", () =>
    Effect.gen(function*() {
      const { records } = yield* logged
      const examples = yield* examplesOf(records)
      assert.isAbove(examples.length, 4)
      for (const [index, record] of records.entries()) {
        const { segments } = decodeRecord(record).scored.trajectory
        assert.deepStrictEqual(examples[index]?.ids, tokenIds(segments))
        assert.deepStrictEqual([...examples[index]?.weights ?? []], [...lossMask(segments)])
      }
    }))

  it.effect(
    "interrupted and resumed, its losses are those of the unbroken run",
    () =>
      Effect.gen(function*() {
        const examples = yield* examplesOf((yield* logged).records)
        const plan: Finetune.Plan = {
          seed: "1",
          model: "this",
          data: "these",
          examples: examples.length,
          epochs: 2,
          batchSize: 3,
          learningRate: 1e-3,
          schedule: { kind: "linear", warmupRatio: 0, warmupSteps: 1, minRatio: 0 },
          adamW: { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1 }
        }
        const options = { plan, examples, microBatchTokens: 4096, checkpointEvery: 100 }
        const engine = PolicyEngine.layerLocal({ model: shippedModel, device: "wasm", threads: 1 })
        const unbroken = yield* Stream.runCollect(Finetune.run({ ...options, resume: false })).pipe(
          Effect.provide([engine, CheckpointsMemory.layer()])
        )
        assert.strictEqual(unbroken.length, Finetune.steps(plan))
        const broken = yield* Effect.gen(function*() {
          const part = (resume: boolean, take: number) =>
            Stream.runCollect(Stream.take(Finetune.run({ ...options, resume }), take)).pipe(
              Effect.provide(engine, { local: true })
            )
          const both = [...yield* part(false, 2), ...yield* part(true, 100)]
          const other = { ...options, plan: { ...plan, model: "another" }, resume: true }
          const refused = yield* Effect.flip(
            Stream.runDrain(Finetune.run(other)).pipe(Effect.provide(engine, { local: true }))
          )
          assert.include(refused.message, `model was "this" and is now "another"`)
          return both
        }).pipe(Effect.provide(CheckpointsMemory.layer()))
        assert.deepStrictEqual(broken, unbroken)
      }),
    60_000
  )

  it.effect(
    "writes a model that can be loaded, by reward, from a run, and explains what is wrong",
    () =>
      Effect.gen(function*() {
        const { run, world } = yield* Tiny.TinyRun
        const fs = yield* FileSystem.FileSystem
        const directory = yield* fs.makeTempDirectoryScoped()
        const { file } = yield* logged
        const model = `${directory}/model`
        const made = yield* finetuning([
          model,
          "--data",
          file,
          "--run",
          run,
          "--validate",
          file,
          "--batch-size",
          "4",
          "--epochs",
          "1"
        ])
        assert.isUndefined(made.error)
        assert.strictEqual(made.errors[0], `Fine-tuning what ${run} has learned (checkpoint latest)`)
        const losses = [...made.output.matchAll(/^(?:before|after) · validation loss ([\d.]+)$/gm)].map(([, loss]) =>
          Number(loss)
        )
        assert.strictEqual(losses.length, 2)
        assert.isBelow(losses[1] ?? 9, losses[0] ?? 0)
        const { weights } = yield* Pretrained.open(model)
        assert.strictEqual(weights.config.layers, 4)
        assert.isFalse(yield* fs.exists(`${model}/checkpoints`))

        const again = yield* finetuning([model, "--data", file])
        assert.match(again.error ?? "", /holds a model or a checkpoint already\nWith --resume/)
        const other = `${directory}/other`
        assert.match((yield* finetuning([other, "--data", `${world}/none.jsonl`])).error ?? "", /no such file/)
        assert.match(
          (yield* finetuning([other, "--data", file, "--min-reward", "2"])).error ?? "",
          /nothing to learn from \(\d+ with less reward\)/
        )
        const bad = `${directory}/bad.jsonl`
        const [good = ""] = (yield* fs.readFileString(file)).split("\n")
        yield* fs.writeFileString(bad, `{"messages":[]}\n${good}`)
        assert.match((yield* finetuning([other, "--data", bad])).error ?? "", /bad.jsonl:1: .*With --skip-bad/s)
        assert.isUndefined((yield* finetuning([other, "--data", bad, "--skip-bad", "--epochs", "1"])).error)

        // what a run has learned is a model too: its rollouts are the run's
        const exported = `${directory}/exported`
        assert.match((yield* exporting(["export", run, exported])).output, /after 2 steps/)
        const ask = (flags: ReadonlyArray<string>) =>
          rolling([
            `--questions=${world}/dev.jsonl`,
            `--corpus=${world}/corpus.jsonl`,
            "--top-k=1",
            "--max-context-tokens=384",
            "--max-response-tokens=24",
            "--max-observation-tokens=60",
            "--json",
            "--limit=2",
            ...flags
          ])
        const metrics = yield* ask(["--model", exported])
        assert.isUndefined(metrics.error)
        assert.strictEqual((yield* ask(["--run", run])).output, metrics.output)
        assert.notStrictEqual((yield* ask(["--model", exported, "--seed", "1"])).output, metrics.output)
      }),
    120_000
  )

  it.effect("says which model learns, and does not let the shipped one learn from what another made unless told", () =>
    Effect.gen(function*() {
      const { run, world } = yield* Tiny.TinyRun
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped()
      const { tokenizer } = yield* Pretrained.open(shippedModel)
      const hash = yield* ContentHash.ofModel(shippedModel)
      const read = (file: string, told: boolean) =>
        readExamples([file], {
          minReward: Option.none(),
          skipBad: false,
          limit: 1000,
          learner: { model: shippedModel, hash, told }
        }).pipe(Effect.provideService(Tokenizer, tokenizer))

      // what began as the shipped model may teach it
      const ofRun = `${directory}/run.jsonl`
      const rolled = yield* rolling([
        `--questions=${world}/dev.jsonl`,
        `--corpus=${world}/corpus.jsonl`,
        "--top-k=1",
        "--max-context-tokens=384",
        "--max-response-tokens=24",
        "--max-observation-tokens=60",
        "--json",
        "--limit=1",
        `--out=${ofRun}`,
        `--run=${run}`
      ])
      assert.isUndefined(rolled.error)
      assert.deepStrictEqual((yield* read(ofRun, false)).notes, [
        `made by the run ${run} (from the model ${shippedModel})`
      ])
      const [line = ""] = (yield* fs.readFileString(ofRun)).split("\n")
      const record = JSON.parse(line)
      const model = { path: shippedModel, sha256: yield* ContentHash.ofModel(shippedModel) }
      assert.deepStrictEqual(record.policy, { kind: "run", place: run, model })

      const file = `${directory}/mo del.jsonl`
      const place = `${directory}/o ther`
      const policy = { kind: "model", place, model: { path: place, sha256: "0" } }
      yield* fs.writeFileString(file, JSON.stringify({ ...record, policy }))
      const refused = yield* finetuning([`${directory}/a`, "--data", file])
      assert.strictEqual(refused.errors[0], `Fine-tuning ${shippedModel}, the model that ships with the package`)
      assert.include(refused.error, `${file}:1 was made by the model ${place}, and no model is named`)
      assert.include(refused.error, `--model '${place}' goes on with that one`)
      assert.isFalse(yield* fs.exists(`${directory}/a/model.safetensors`))
      assert.deepStrictEqual((yield* read(file, true)).notes, [`made by the model ${place}`])

      // a record that says nothing of its model but holds its tokens
      const foreign = JSON.parse(line, (key, value) => key === "ids" ? value.map((id: number) => id + 40_000) : value)
      yield* fs.writeFileString(file, JSON.stringify({ scored: foreign.scored }))
      assert.include(
        (yield* Effect.flip(read(file, false))).message,
        `${file}:1 holds the tokens of another model, and no model is named`
      )
      assert.deepStrictEqual((yield* read(file, true)).notes, ["1 with tokens of another tokenizer, encoded anew"])
    }))

  it.effect("leaves out what nothing tells the reward of, where a reward is asked for", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const file = `${yield* fs.makeTempDirectoryScoped()}/a.jsonl`
      const messages = [{ role: "user", content: "who is it" }, { role: "assistant", content: "<answer> x </answer>" }]
      yield* fs.writeFileString(file, `${JSON.stringify({ messages })}\n`)
      const { tokenizer } = yield* Pretrained.open(shippedModel)
      const read = (minReward: Option.Option<number>) =>
        readExamples([file], {
          minReward,
          skipBad: false,
          limit: 1000,
          learner: { model: shippedModel, hash: "1", told: false }
        }).pipe(Effect.provideService(Tokenizer, tokenizer))
      assert.strictEqual((yield* read(Option.none())).examples.length, 1)
      assert.include((yield* Effect.flip(read(Option.some(0.5)))).message, "1 without a reward")
    }))
})
