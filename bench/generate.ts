/**
 * Prompts read and tokens generated per second by one model, and the memory that takes:
 * `npm run -s bench -- generate --model DIR [--device wasm|tensorflow|torch|cpu] [--sessions N] [--tokens N] [--prompt N]`.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Clock, Effect, Schema } from "effect"
import { parseArgs } from "node:util"
import { deviceNames, namedDevice } from "../src/cli/deviceFlag.ts"
import { onPolicy } from "../src/domain/Sampling.ts"
import * as Pretrained from "../src/layers/model/Pretrained.ts"
import * as Engine from "../src/layers/policy/engine/Engine.ts"
import { Device } from "../src/services/Device.ts"

const DeviceName = Schema.decodeUnknownSync(Schema.Literals(deviceNames))

const megabytes = (bytes: number): number => Math.round(bytes / 1e6)

const timed = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
  const start = yield* Clock.currentTimeNanos
  const value = yield* effect
  return { value, seconds: Number((yield* Clock.currentTimeNanos) - start) / 1e9 }
})

export const run = (args: ReadonlyArray<string>): Promise<Readonly<Record<string, unknown>>> => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      model: { type: "string" },
      device: { type: "string", default: "wasm" },
      sessions: { type: "string", default: "16" },
      tokens: { type: "string", default: "48" },
      prompt: { type: "string", default: "512" }
    }
  })
  const { model } = values
  if (model === undefined) throw new Error("name a model's folder with --model DIR")
  const [sessions, tokens, prompt] = [values.sessions, values.tokens, values.prompt].map(Number)
  return Effect.runPromise(
    Effect.gen(function*() {
      const device = yield* Device
      const { tokenizer, weights } = yield* Pretrained.open(model)
      const loading = yield* timed(Engine.make(weights, { ...tokenizer, endOfText: [] }))
      const engine = loading.value
      const ids = (length: number, salt: number) =>
        Int32Array.from({ length }, (_, i) => 100 + (i * 7919 + salt * 104_729) % (weights.config.vocabularySize - 100))
      const generate = (name: string, count: number, length: number, maxTokens: number) =>
        Effect.forEach(Array.from({ length: count }, (_, i) => i), (i) =>
          Effect.scoped(Effect.gen(function*() {
            const session = yield* engine.policy.session({
              promptKey: `${name}${i}`,
              sample: 0,
              ids: ids(length, i + name.length),
              seed: `${name}${i}`
            })
            return (yield* session.generate({ maxTokens, sampling: onPolicy, stop: [] })).ids.length
          })), { concurrency: "unbounded" }).pipe(Effect.map((counts) => counts.reduce((a, b) => a + b, 0)))
      yield* generate("warm", 2, 32, 4)
      const read = yield* timed(generate("read", 1, prompt!, 1))
      const one = yield* timed(generate("one", 1, 16, tokens!))
      const many = yield* timed(generate("many", sessions!, 16, tokens!))
      const { bytes } = yield* device.memory
      return {
        device: device.name,
        loadSeconds: Math.round(loading.seconds * 100) / 100,
        promptTokensPerSecond: Math.round(prompt! / read.seconds),
        oneSessionTokensPerSecond: Math.round(10 * one.value / one.seconds) / 10,
        sessions,
        sessionsTokensPerSecond: Math.round(10 * many.value / many.seconds) / 10,
        deviceMegabytes: megabytes(bytes),
        peakResidentMegabytes: megabytes(process.resourceUsage().maxRSS * 1024)
      }
    }).pipe(
      Effect.scoped,
      Effect.provide(namedDevice(DeviceName(values.device))),
      Effect.provide(NodeServices.layer)
    )
  )
}
