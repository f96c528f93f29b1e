import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { greedy } from "../../../../src/domain/Sampling.ts"
import * as Weights from "../../../../src/layers/model/Weights.ts"
import * as Network from "../../../../src/layers/policy/engine/Network.ts"
import * as Scheduler from "../../../../src/layers/policy/engine/Scheduler.ts"
import { Device } from "../../../../src/services/Device.ts"
import { plainTokenizer } from "../../../support/plainTokenizer.ts"
import { devices, golden, model, noModels } from "./fixtures.ts"

interface Golden {
  readonly cases: ReadonlyArray<{ readonly prompt: ReadonlyArray<number>; readonly greedy: ReadonlyArray<number> }>
}

/** Only its size matters here. */
const tokenizer = (vocabularySize: number) =>
  plainTokenizer({
    vocabularySize,
    encode: () => new Int32Array(),
    decode: () => "",
    decoder: () => ({ push: () => "", flush: () => "" })
  })

// Plain JavaScript takes half a minute.
for (const device of devices.filter(({ name }) => name !== "DeviceCpu")) {
  const absent = noModels ?? device.absent
  describe.skipIf(absent !== undefined)(`decoding on ${device.name}`, () => {
    // Bias at the projections and a tied head; norms of queries and keys and a head size of its own; scaled rotary embedding.
    for (const name of ["hf/qwen2", "hf/qwen3", "hf/llama3"]) {
      it.effect(`writes what transformers write, alone and in a batch: ${name}`, () =>
        Effect.gen(function*() {
          const device = yield* Device
          const { config, tensors } = yield* Weights.read(model(name))
          // An end of text would cut what the records go on with.
          const network = yield* Network.make({ ...config, eosTokenIds: [] }, tensors)
          const scheduler = yield* Scheduler.make(device, network, tokenizer(config.vocabularySize), () => 0)
          const { cases } = golden<Golden>(name)
          const write = Effect.fnUntraced(function*(at: number, sample: number) {
            const ids = Int32Array.from(cases[at]?.prompt ?? [])
            const session = yield* scheduler.session({ promptKey: `${at}`, sample, ids, seed: `${sample}` })
            const maxTokens = cases[at]?.greedy.length ?? 0
            return [...(yield* session.generate({ maxTokens, sampling: greedy, stop: [] })).ids]
          }, Effect.scoped)
          for (const at of cases.keys()) assert.deepStrictEqual(yield* write(at, 0), cases[at]?.greedy)
          const all = yield* Effect.forEach(
            Array.from({ length: 21 }, (_, i) => i),
            (i) => write(i % cases.length, i),
            { concurrency: "unbounded" }
          )
          all.forEach((ids, i) => assert.deepStrictEqual(ids, cases[i % cases.length]?.greedy, `session ${i}`))
        }).pipe(Effect.scoped, Effect.provide([device.layer, NodeServices.layer])), 60_000)
    }
  })
}
