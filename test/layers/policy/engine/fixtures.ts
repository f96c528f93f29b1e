/** Reference models and devices for the engine's tests. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert } from "@effect/vitest"
import { Effect, type FileSystem, Layer, type Path } from "effect"
import { existsSync, readFileSync } from "node:fs"
import * as DeviceCpu from "../../../../src/layers/device/DeviceCpu.ts"
import * as DeviceTensorFlow from "../../../../src/layers/device/DeviceTensorFlow.ts"
import * as DeviceTorch from "../../../../src/layers/device/DeviceTorch.ts"
import * as DeviceWasm from "../../../../src/layers/device/DeviceWasm.ts"
import { locate } from "../../../../src/layers/device/tensorflow/load.ts"
import { locate as locateTorch } from "../../../../src/layers/device/torch/load.ts"
import type { Tokenizer } from "../../../../src/services/Tokenizer.ts"
import { plainTokenizer } from "../../../support/plainTokenizer.ts"

const data = new URL("../../../../../shared/data/tiny-models/", import.meta.url)

/** Path of a reference model. */
export const model = (name: string): string => new URL(name, data).pathname

/** Why the reference models cannot be used, where they cannot. */
export const noModels = existsSync(data) ? undefined : "../shared/data/tiny-models is absent"

/** The parsed golden file of a reference model. */
export const golden = <A>(name: string): A => JSON.parse(readFileSync(`${model(name)}/golden.json`, "utf8"))

const why = <A>(
  located: Effect.Effect<A, { readonly message: string }, FileSystem.FileSystem | Path.Path>
): Promise<string | undefined> =>
  Effect.runPromise(located.pipe(
    Effect.as(undefined),
    Effect.catch((error) => Effect.succeed(error.message)),
    Effect.provide(NodeServices.layer)
  ))

const tensorFlow = await why(locate)
const torch = await why(locateTorch)

/** Every device of this machine that tests of whole models may use. */
export const devices = [
  { name: "DeviceWasm", layer: Layer.orDie(DeviceWasm.layer()), absent: undefined },
  { name: "DeviceCpu", layer: DeviceCpu.layer(), absent: undefined },
  {
    name: "DeviceTensorFlow",
    layer: Layer.orDie(DeviceTensorFlow.layer().pipe(Layer.provide(NodeServices.layer))),
    absent: tensorFlow
  },
  {
    name: "DeviceTorch",
    layer: Layer.orDie(DeviceTorch.layer({ device: "cpu" }).pipe(Layer.provide(NodeServices.layer))),
    absent: torch
  }
] as const

/** The fastest device here. */
export const fastest = devices[0]

/** Every value within `tolerance` of the expected one. */
export const allClose = (
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what: string
): void => {
  assert.strictEqual(actual.length, expected.length, `${what}: length`)
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [actual[i] ?? Number.NaN, expected[i] ?? Number.NaN]
    if (!(Math.abs(a - e) <= tolerance)) assert.fail(`${what}[${i}] is ${a}, expected ${e}`)
  }
}

/** A tokenizer whose every id is two letters, so that stop strings can fall between tokens. */
export const byteTokenizer = (vocabularySize: number): Tokenizer["Service"] => {
  const text = (ids: Int32Array) =>
    [...ids].map((id) => String.fromCharCode(97 + id % 26, 97 + Math.floor(id / 26) % 26)).join("")
  return plainTokenizer({
    vocabularySize,
    encode: (string) => Int32Array.from(string, (c) => c.charCodeAt(0) - 97),
    decode: text,
    decoder: () => ({ push: text, flush: () => "" })
  })
}
