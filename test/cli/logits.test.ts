import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Path, Schema, Stream } from "effect"
import { Command } from "effect/cli"
import { TestConsole } from "effect/testing"
import { logits } from "../../src/cli/logits.ts"
import * as Weights from "../../src/layers/model/Weights.ts"
import { savedModel, smallConfig } from "../layers/model/modelFiles.ts"
import { referenceForward } from "../layers/model/referenceForward.ts"
import { hasShared, readSharedJson, sharedPath } from "../sharedData.ts"

const run = Command.runWith(logits, { version: "0", renderErrors: false })

const Numbers = Schema.Array(Schema.Finite)
const Printed = Schema.fromJsonString(Schema.Struct({
  lastLogits: Numbers,
  tokenLogprobs: Numbers,
  entropy: Numbers,
  greedy: Numbers
}))

/** Writes `text` into a file and runs the command on it. */
const runOn = Effect.fnUntraced(function*(model: string, text: string, ...args: ReadonlyArray<string>) {
  const fs = yield* FileSystem.FileSystem
  const { join } = yield* Path.Path
  const file = join(yield* fs.makeTempDirectoryScoped(), "ids.json")
  yield* fs.writeFileString(file, text)
  yield* run([model, "--ids", file, ...args])
})

const printed = (model: string, ids: ReadonlyArray<number>, ...args: ReadonlyArray<string>) =>
  runOn(model, `[${ids.join(",")}]`, ...args).pipe(
    Effect.andThen(TestConsole.logLines),
    Effect.flatMap((lines) => Schema.decodeUnknownEffect(Printed)(lines.at(-1)))
  )

const assertClose = (found: ReadonlyArray<number>, expected: ArrayLike<number>, tolerance: number) => {
  assert.strictEqual(found.length, expected.length)
  for (const [i, value] of found.entries()) assert.closeTo(value, expected[i]!, tolerance, `index ${i}`)
}

const logSoftmax = (row: Float64Array): Float64Array => {
  const most = row.reduce((a, b) => Math.max(a, b))
  const total = row.reduce((sum, value) => sum + Math.exp(value - most), 0)
  return row.map((value) => value - most - Math.log(total))
}

const likeliest = (row: Float64Array): number => row.indexOf(row.reduce((a, b) => Math.max(a, b)))

const provided = Effect.provide([NodeServices.layer, TestConsole.layer])

describe("search-r1 logits", () => {
  for (
    const [name, config] of [
      ["Llama with Llama 3's rotary scaling", {
        rope_parameters: {
          rope_type: "llama3",
          rope_theta: 100,
          factor: 4,
          low_freq_factor: 1,
          high_freq_factor: 2,
          original_max_position_embeddings: 8
        }
      }],
      ["Llama with all biases", { attention_bias: true, mlp_bias: true }],
      ["Qwen2 with a tied head", { model_type: "qwen2", tie_word_embeddings: true }],
      ["Qwen2 stretched by YaRN", {
        model_type: "qwen2",
        head_dim: 8,
        rope_theta: 100,
        rope_scaling: { type: "yarn", factor: 4, original_max_position_embeddings: 8, beta_fast: 2 }
      }],
      ["Qwen3 with bias", { model_type: "qwen3", head_dim: 6, attention_bias: true }]
    ] as const
  ) {
    it.effect(`computes what the definition says: ${name}`, () =>
      Effect.gen(function*() {
        const directory = yield* savedModel({ config: smallConfig({ eos_token_id: [0, 1, 2, 3, 4], ...config }) })
        const ids = [3, 1, 4, 1, 5, 9]
        const found = yield* printed(directory, ids, "--greedy", "4", "--device", "cpu")
        const weights = yield* Weights.read(directory)
        const tensors = new Map((yield* Stream.runCollect(weights.tensors)).map(({ data, name }) => [name, data]))
        const rows = referenceForward(weights.config, tensors, ids)
        assertClose(found.lastLogits, rows.at(-1)!, 1e-4)
        const predictions = rows.slice(0, -1).map(logSoftmax)
        assertClose(found.tokenLogprobs, predictions.map((row, i) => row[ids[i + 1]!]!), 1e-4)
        assertClose(found.entropy, predictions.map((row) => -row.reduce((sum, lp) => sum + Math.exp(lp) * lp, 0)), 1e-4)
        const context = [...ids]
        for (const id of found.greedy) {
          assert.strictEqual(id, likeliest(referenceForward(weights.config, tensors, context).at(-1)!))
          context.push(id)
        }
        assert.strictEqual(context.length, ids.length + 4)
      }).pipe(provided))
  }

  it.effect("names what is wrong with its input", () =>
    Effect.gen(function*() {
      const directory = yield* savedModel()
      const cases: ReadonlyArray<readonly [text: string, args: ReadonlyArray<string>, message: string]> = [
        ["[1, 2", [], "A JSON array of token ids is expected, such as [1, 403, 407]"],
        ["[]", [], "A JSON array of token ids is expected"],
        ["[1, -2]", [], "A JSON array of token ids is expected"],
        ["[1, 11]", [], "token id 11 is outside the model's vocabulary of 11"],
        ["[1, 2]", ["--greedy", "15"], "a context of 17 tokens exceeds the model's 16"],
        ["[1, 2]", ["--greedy", "-1"], "--greedy -1: expected 0 or more tokens"]
      ]
      for (const [text, args, message] of cases) {
        const error = yield* Effect.flip(runOn(directory, text, "--device", "cpu", ...args))
        assert.include(error.message, message)
      }
      const noIds = yield* Effect.flip(run([directory, "--ids", `${directory}/none.json`, "--device", "cpu"]))
      assert.include(noIds.message, "none.json: there is no such file")
      const noModel = yield* Effect.flip(runOn(`${directory}/none`, "[1]", "--device", "cpu"))
      assert.include(noModel.message, "none: there is no such file")
    }).pipe(provided))

  it.effect("refuses to print numbers that are not finite", () =>
    Effect.gen(function*() {
      const directory = yield* savedModel({
        read: ({ shape }) => Effect.succeed(new Float32Array(shape[0]! * (shape[1] ?? 1)).fill(Number.NaN))
      })
      const error = yield* Effect.flip(runOn(directory, "[1, 2]", "--device", "cpu"))
      assert.include(error.message, "the model computes numbers that are not finite; are its weights whole?")
    }).pipe(provided))
})

interface Case {
  readonly prompt: ReadonlyArray<number>
  readonly lastLogits: ReadonlyArray<number>
  readonly tokenLogprobs: ReadonlyArray<number>
  readonly entropy: ReadonlyArray<number>
  readonly greedy: ReadonlyArray<number>
}

describe.skipIf(!hasShared("tiny-models"))("search-r1 logits over ../shared/data/tiny-models", () => {
  for (const name of ["llama3", "qwen2", "qwen3"]) {
    it.effect(`prints what transformers computes: ${name}`, () =>
      Effect.gen(function*() {
        const { cases } = readSharedJson<{ readonly cases: ReadonlyArray<Case> }>(`tiny-models/hf/${name}/golden.json`)
        const golden = cases[1]!
        const found = yield* printed(
          sharedPath(`tiny-models/hf/${name}`),
          golden.prompt,
          "--greedy",
          "24",
          "--device",
          "cpu"
        )
        assertClose(found.lastLogits, golden.lastLogits, 1e-3)
        assertClose(found.tokenLogprobs, golden.tokenLogprobs, 1e-3)
        assertClose(found.entropy, golden.entropy, 1e-3)
        assert.deepStrictEqual(found.greedy, golden.greedy)
      }).pipe(provided), 60_000)
  }

  it.effect("prints what llama2.c computes: stories260K", () =>
    Effect.gen(function*() {
      const golden = readSharedJson<{
        readonly prompt_ids: ReadonlyArray<number>
        readonly logits_after_prompt: ReadonlyArray<number>
        readonly greedy_ids: ReadonlyArray<number>
      }>("tiny-models/stories260K/golden.json")
      const model = sharedPath("tiny-models/stories260K/stories260K.bin")
      const found = yield* printed(model, golden.prompt_ids, "--greedy", "40", "--device", "cpu")
      assertClose(found.lastLogits, golden.logits_after_prompt, 1e-4)
      assert.deepStrictEqual(found.greedy, golden.greedy_ids.slice(0, 40))
    }).pipe(provided), 60_000)
})

/** Where `../shared/data/tiny-models/smollm2/README.md` has put its checkpoint, if anybody has followed it. */
const smollm2 = process.env["SMOLLM2_DIRECTORY"] ?? ""

describe.skipIf(smollm2 === "" || !hasShared("tiny-models/smollm2"))("search-r1 logits over SMOLLM2_DIRECTORY", () => {
  it.effect("prints the greedy tokens of transformers and its log-probabilities", () =>
    Effect.gen(function*() {
      const { cases } = readSharedJson<{
        readonly cases: ReadonlyArray<Pick<Case, "tokenLogprobs" | "greedy"> & { readonly ids: ReadonlyArray<number> }>
      }>("tiny-models/smollm2/golden.json")
      for (const { greedy, ids, tokenLogprobs } of cases) {
        const count = String(greedy.length)
        // The record was computed with rotary frequencies that a cast of the whole module had rounded to bfloat16, which
        // is worth 0.0131; transformers over the checkpoint itself is within 2e-5 of what is printed.
        const found = yield* printed(smollm2, ids, "--greedy", count)
        assert.deepStrictEqual(found.greedy, greedy)
        assertClose(found.tokenLogprobs, tokenLogprobs, 0.014)
        const rounded = yield* printed(smollm2, ids, "--greedy", count, "--rope-precision", "bfloat16")
        assert.deepStrictEqual(rounded.greedy, greedy)
        assertClose(rounded.tokenLogprobs, tokenLogprobs, 2e-3)
      }
    }).pipe(provided), 120_000)
})
