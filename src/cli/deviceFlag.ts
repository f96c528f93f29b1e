/**
 * The flag by which commands choose a device, and the layer that it stands for.
 *
 * @since 0.1.0
 */
import { Config, Effect, Layer } from "effect"
import * as DeviceCpu from "../layers/device/DeviceCpu.ts"
import * as DeviceTensorFlow from "../layers/device/DeviceTensorFlow.ts"
import * as DeviceTorch from "../layers/device/DeviceTorch.ts"
import * as DeviceWasm from "../layers/device/DeviceWasm.ts"
import * as Flag from "./flag.ts"
import { userError } from "./userError.ts"

/**
 * Names of all devices, the default first.
 *
 * @category constants
 * @since 0.1.0
 */
export const deviceNames = ["wasm", "tensorflow", "torch", "cpu"] as const

/**
 * @category models
 * @since 0.1.0
 */
export type DeviceName = typeof deviceNames[number]

/**
 * Spread into the configuration of a command: `Command.make("x", { ...deviceFlags, … })`.
 *
 * @category flags
 * @since 0.1.0
 */
export const deviceFlags = {
  device: Flag.Literals("device", deviceNames).pipe(
    Flag.withAlias("d"),
    Flag.withDescription(
      "Where tensors are computed; \"search-r1 device list\" tells what works here (or SEARCH_R1_DEVICE)"
    ),
    Flag.withFallbackConfig(Config.Literals(deviceNames, "SEARCH_R1_DEVICE")),
    Flag.withDefault("wasm" as const)
  )
}

/**
 * The layer of a device by name.
 *
 * @category layers
 * @since 0.1.0
 */
export const namedDevice = (name: DeviceName) => {
  switch (name) {
    case "wasm":
      return DeviceWasm.layer()
    case "tensorflow":
      return DeviceTensorFlow.layer()
    case "torch":
      return DeviceTorch.layer()
    case "cpu":
      return DeviceCpu.layer()
  }
}

/**
 * The layer of a device for a command: a device that is not available ends it with what to do.
 *
 * @category layers
 * @since 0.1.0
 */
export const deviceLayer = ({ device }: { readonly device: DeviceName }) =>
  Layer.catch(namedDevice(device), (error) => Layer.effectContext(Effect.fail(userError(error))))
