/**
 * Reading numbers off a device.
 *
 * @since 0.1.0
 */
import type * as tf from "@tensorflow/tfjs-core"
import { Effect } from "effect"
import { type Device, type DeviceError, DeviceFailed } from "../../../services/Device.ts"

/**
 * The values of tensors, waiting where the device works asynchronously.
 *
 * @category getters
 * @since 0.1.0
 */
export const read = (
  device: Device["Service"],
  tensors: ReadonlyArray<tf.Tensor>
): Effect.Effect<Array<Float32Array | Int32Array | Uint8Array>, DeviceError> =>
  device.capabilities.asynchronous
    ? Effect.tryPromise({
      try: () => Promise.all(tensors.map((tensor) => tensor.data())),
      catch: (cause) => new DeviceFailed({ device: device.name, reason: String(cause) })
    })
    : device.run(() => tensors.map((tensor) => tensor.dataSync()))
