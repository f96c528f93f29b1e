/**
 * Bringing a model's weights onto a device.
 *
 * @since 0.1.0
 */
import { Effect, Option, type Scope, Stream } from "effect"
import { contextLength, type ModelConfig } from "../../../domain/ModelConfig.ts"
import { elements, tensors, type TensorSpec } from "../../../domain/ModelTensors.ts"
import { Device, type DeviceError, OutOfDeviceMemory } from "../../../services/Device.ts"
import type { Network } from "./Packed.ts"
import { ParameterMismatch } from "./ParameterMismatch.ts"
import { mismatch, type NamedWeights, Parameters } from "./Parameters.ts"
import { read } from "./read.ts"
import { ropeTables } from "./Transformer.ts"

/**
 * Uploads weights one by one as they are read, checks name and shape of each, and disposes of all with the scope. `specs`
 * are those of a causal language model unless told.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fn("Network.make")(function*<E>(
  config: ModelConfig,
  weights: Stream.Stream<NamedWeights, E>,
  options?: { readonly specs?: ReadonlyArray<TensorSpec> | undefined; readonly positions?: number | undefined }
): Effect.fn.Return<Network, E | DeviceError | ParameterMismatch, Device | Scope.Scope> {
  const device = yield* Device
  const specs = options?.specs ?? tensors(config)
  const byName = new Map(specs.map((spec) => [spec.name, spec]))
  // Said before minutes of reading rather than after.
  const { bytes, limitBytes } = yield* device.memory
  const requestedBytes = specs.reduce((sum, { shape }) => sum + 4 * elements(shape), 0)
  if (bytes + requestedBytes > limitBytes) {
    return yield* new OutOfDeviceMemory({ device: device.name, requestedBytes, usedBytes: bytes, limitBytes })
  }
  const parameters = yield* Effect.acquireRelease(
    Effect.sync(() => new Parameters(specs)),
    (parameters) => Effect.ignore(device.run(() => parameters.dispose()))
  )
  yield* Stream.runForEach(weights, (weight): Effect.Effect<void, DeviceError | ParameterMismatch> => {
    const spec = byName.get(weight.name)
    if (spec === undefined) return Effect.void
    const wrong = mismatch([spec], () => weight.shape)
    return wrong === undefined ? device.run(() => parameters.upload(weight)) : Effect.fail(wrong)
  })
  const missing = Option.fromNullishOr(specs.find((spec) => !parameters.has(spec.name)))
  if (Option.isSome(missing)) {
    return yield* new ParameterMismatch({ tensor: missing.value.name, expected: [...missing.value.shape], found: null })
  }
  const positions = options?.positions ?? contextLength(config)
  const tables = yield* device.resource(() => ropeTables(config, positions))
  return { config, parameters, tables }
})

/**
 * One weight of a network as it is now.
 *
 * @category getters
 * @since 0.1.0
 */
export const readWeight = (
  device: Device["Service"],
  { parameters }: Network,
  name: string
): Effect.Effect<Float32Array, DeviceError> =>
  Effect.map(
    read(device, [parameters.get(name)]),
    ([data]) => data instanceof Float32Array ? data : Float32Array.from(data ?? [])
  )
