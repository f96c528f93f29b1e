/**
 * The plain JavaScript backend of tfjs: slow, exact and everywhere. For tests of tiny models, no more.
 *
 * @since 0.1.0
 */
import { MathBackendCPU } from "@tensorflow/tfjs-backend-cpu"
import * as tf from "@tensorflow/tfjs-core"
import { Effect, Layer } from "effect"
import { Device } from "../../services/Device.ts"
import { checkLimit, make } from "./tfjs.ts"

/** Keys and values go into the pools' own memory, as on every device with a kernel for it. */
const kvAppendKernel: tf.KernelConfig = {
  kernelName: "SrKvAppend",
  backendName: "cpu",
  kernelFunc: ({ backend, inputs }) => {
    const { k, kPool, slots, v, vPool } = inputs
    if (!(backend instanceof MathBackendCPU)) throw new TypeError("SrKvAppend needs the cpu backend")
    if (k === undefined || kPool === undefined || slots === undefined || v === undefined || vPool === undefined) {
      throw new TypeError("SrKvAppend needs kPool, vPool, k, v and slots")
    }
    const values = (tensor: tf.TensorInfo): Float32Array | Int32Array => {
      const data = backend.data.get(tensor.dataId).values
      if (data instanceof Float32Array || data instanceof Int32Array) return data
      throw new TypeError("SrKvAppend needs float32 pools and int32 slots")
    }
    const width = k.shape.slice(1).reduce((size, dim) => size * dim, 1)
    const slotIds = values(slots)
    for (const [pool, rows] of [[values(kPool), values(k)], [values(vPool), values(v)]] as const) {
      slotIds.forEach((slot, t) => pool.set(rows.subarray(t * width, (t + 1) * width), slot * width))
    }
    return backend.makeTensorInfo([], "float32", new Float32Array(1))
  }
}

/** A backend that refuses to grow beyond its limit. */
class LimitedBackend extends MathBackendCPU {
  limitBytes = Number.POSITIVE_INFINITY

  override write(values: tf.BackendValues, shape: Array<number>, dtype: tf.DataType): object {
    checkLimit("cpu", this.limitBytes, shape.reduce((size, dim) => size * dim, 4))
    return super.write(values, shape, dtype)
  }
}

const backend = (): LimitedBackend => {
  const existing = tf.findBackend("cpu")
  if (existing instanceof LimitedBackend) return existing
  tf.env().set("PROD", true)
  const own = new LimitedBackend()
  tf.removeBackend("cpu")
  tf.registerBackend("cpu", () => own)
  if (tf.getKernel("SrKvAppend", "cpu") === undefined) tf.registerKernel(kvAppendKernel)
  return own
}

/**
 * The device `cpu`. `limitBytes` bounds what all tensors together may take.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: { readonly limitBytes?: number | undefined }): Layer.Layer<Device> =>
  Layer.effect(
    Device,
    Effect.sync(() => {
      const limitBytes = options?.limitBytes ?? Number.POSITIVE_INFINITY
      backend().limitBytes = limitBytes
      return Device.of(make({
        name: "cpu",
        backend: "cpu",
        capabilities: { storage: "float32", threads: 1, asynchronous: false },
        limitBytes
      }))
    })
  )
