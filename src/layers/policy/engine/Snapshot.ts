/**
 * A learner's state as bytes, for checkpoints: little-endian float32, exactly what the device holds.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { Effect, Schema } from "effect"
import { elements, type TensorSpec } from "../../../domain/ModelTensors.ts"
import type { DeviceError } from "../../../services/Device.ts"
import { type LearnerError, type LearnerState, StateMismatch } from "../../../services/Optimizer.ts"
import { type Learner, toLearnerError } from "./Learner.ts"
import { read } from "./read.ts"

const Info = Schema.Struct({
  format: Schema.Literal(1),
  network: Schema.Literals(["actor", "critic"]),
  /** Steps that the optimizer made. */
  step: Schema.Natural,
  /** Updates that the policy's parameters have seen. */
  version: Schema.Natural
})

const decodeInfo = Schema.decodeUnknownEffect(Info)

const toBytes = (values: Float32Array | Int32Array | Uint8Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice()

const toFloats = (bytes: Uint8Array): Float32Array => new Float32Array(bytes.slice().buffer)

const firstMoment = (name: string): string => `adam.m/${name}`
const secondMoment = (name: string): string => `adam.v/${name}`

/**
 * Reads the whole state off the device, one tensor at a time.
 *
 * @category getters
 * @since 0.1.0
 */
export const state = Effect.fn("Snapshot.state")(function*(
  learner: Learner,
  version: () => number
): Effect.fn.Return<LearnerState, LearnerError> {
  const { adam, device, kind, network } = learner
  const blobs: Record<string, Uint8Array> = {}
  const add = Effect.fnUntraced(function*(name: string, tensor: tf.Tensor): Effect.fn.Return<void, DeviceError> {
    const [values] = yield* read(device, [tensor])
    if (values !== undefined) blobs[name] = toBytes(values)
  })
  const all = Effect.gen(function*() {
    for (const { name } of network.parameters.specs) {
      yield* add(name, network.parameters.get(name))
      const moments = adam.step === 0 ? undefined : adam.get(name)
      if (moments === undefined) continue
      yield* add(firstMoment(name), moments.m)
      yield* add(secondMoment(name), moments.v)
    }
  })
  yield* Effect.mapError(all, toLearnerError)
  return { info: { format: 1, network: kind, step: adam.step, version: version() }, blobs }
}, (state, learner) => learner.turn.withPermit(state))

const check = (specs: ReadonlyArray<TensorSpec>, blobs: LearnerState["blobs"], step: number): string | undefined => {
  for (const { name, shape } of specs) {
    for (const key of step === 0 ? [name] : [name, firstMoment(name), secondMoment(name)]) {
      const blob = blobs[key]
      const expected = 4 * elements(shape)
      if (blob === undefined) return `the tensor ${key} [${shape.join(", ")}] is missing`
      if (blob.byteLength !== expected) {
        return `the tensor ${key} [${shape.join(", ")}] has ${blob.byteLength} bytes, expected ${expected}`
      }
    }
  }
  return undefined
}

/**
 * Puts a saved state onto the device; nothing changes where it does not fit. Returns the policy version it was saved at.
 *
 * @category operations
 * @since 0.1.0
 */
export const restore = Effect.fn("Snapshot.restore")(function*(
  learner: Learner,
  { blobs, info }: LearnerState
): Effect.fn.Return<number, LearnerError> {
  const { adam, device, kind, network } = learner
  const saved = yield* decodeInfo(info).pipe(
    Effect.mapError((error) => new StateMismatch({ reason: `its description cannot be read: ${error.message}` }))
  )
  if (saved.network !== kind) {
    return yield* new StateMismatch({ reason: `it is that of the ${saved.network}, not of the ${kind}` })
  }
  const { specs } = network.parameters
  const reason = check(specs, blobs, saved.step)
  if (reason !== undefined) return yield* new StateMismatch({ reason })
  // So it stays where this is interrupted.
  learner.broken = true
  const values = (name: string) => toFloats(blobs[name] ?? new Uint8Array())
  const uploaded = Effect.forEach(specs, ({ name, shape }) =>
    device.run(() => {
      network.parameters.upload({ name, shape, data: values(name) })
      if (saved.step === 0) return
      const m = tf.tensor(values(firstMoment(name)), [...shape])
      adam.set(name, { m, v: tf.tensor(values(secondMoment(name)), [...shape]) })
    }), { discard: true })
  yield* Effect.mapError(device.turn(uploaded), toLearnerError)
  if (saved.step === 0) yield* device.run(() => adam.dispose()).pipe(Effect.mapError(toLearnerError))
  adam.step = saved.step
  learner.broken = false
  return saved.version
}, (restored, learner) => learner.turn.withPermit(restored))
