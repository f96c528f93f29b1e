/**
 * TensorFlow under tfjs: `@tensorflow/tfjs-node-gpu` or `@tensorflow/tfjs-node`, loaded by name where they are there.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { Effect, type FileSystem, Layer, type Path } from "effect"
import { availableParallelism } from "node:os"
import { Device, type DeviceUnavailable } from "../../services/Device.ts"
import type { TensorFlowBackend } from "./tensorflow/backend.ts"
import { load, locate } from "./tensorflow/load.ts"
import { checkLimit, make } from "./tfjs.ts"

const limits = new WeakMap<TensorFlowBackend, { bytes: number }>()

/** Checks the limit behind every operation: TensorFlow alone knows the size of a result. */
const limit = (backend: TensorFlowBackend, bytes: number): void => {
  const existing = limits.get(backend)
  if (existing !== undefined) {
    existing.bytes = bytes
    return
  }
  const own = { bytes }
  limits.set(backend, own)
  const create = backend.createOutputTensor.bind(backend)
  backend.createOutputTensor = (metadata) => {
    if (own.bytes !== Number.POSITIVE_INFINITY) {
      try {
        checkLimit("tensorflow", own.bytes, metadata.shape.reduce((size, dim) => size * dim, 4))
      } catch (cause) {
        backend.binding.deleteTensor(metadata.id)
        throw cause
      }
    }
    return create(metadata)
  }
}

/** Bytes from which on numbers are not held twice until the first operation on them. */
const large = 1 << 20

const eager = new WeakSet<TensorFlowBackend>()

/** Hands large arrays, which are weights and caches, to TensorFlow at once, so that JavaScript's copy can go. */
const uploadAtOnce = (backend: TensorFlowBackend): void => {
  if (eager.has(backend)) return
  eager.add(backend)
  const move = backend.move.bind(backend)
  backend.move = (dataId, values, shape, dtype, refCount) => {
    move(dataId, values, shape, dtype, refCount)
    if (ArrayBuffer.isView(values) && values.byteLength >= large) backend.getInputTensorIds([{ dataId, shape, dtype }])
  }
}

/**
 * The device `tensorflow`. `limitBytes` bounds what all tensors together may take. Without `operations` it keeps to what
 * TensorFlow brings, also where operations of our own are installed; the first layer of a thread decides that for all.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options?: { readonly limitBytes?: number | undefined; readonly operations?: boolean | undefined }
): Layer.Layer<Device, DeviceUnavailable, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(
    Device,
    Effect.gen(function*() {
      const location = yield* locate
      const backend = yield* load(location, { operations: options?.operations ?? true })
      const limitBytes = options?.limitBytes ?? Number.POSITIVE_INFINITY
      limit(backend, limitBytes)
      uploadAtOnce(backend)
      yield* Effect.addFinalizer(() => Effect.sync(() => backend.graphs?.dispose()))
      return Device.of(make({
        name: "tensorflow",
        backend: "tensorflow",
        capabilities: {
          storage: "float32",
          threads: availableParallelism(),
          asynchronous: backend.isUsingGpuDevice
        },
        limitBytes,
        settled: Effect.sync(() => tf.tidy(() => void tf.scalar(0).dataSync()))
      }))
    })
  )
