/**
 * What a device has for a model.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { freemem } from "node:os"
import { Device } from "../services/Device.ts"
import { deviceLayer, type DeviceName } from "./deviceFlag.ts"

/**
 * Precision and memory of a device as it is now; the machine's free memory where the device knows no limit of its own.
 *
 * @category getters
 * @since 0.1.0
 */
export const deviceMemory = Effect.fnUntraced(function*(_: DeviceName) {
  const { capabilities, memory } = yield* Device
  const { limitBytes } = yield* memory
  return { storage: capabilities.storage, limitBytes: Number.isFinite(limitBytes) ? limitBytes : freemem() }
}, (effect, device) => Effect.provide(effect, deviceLayer({ device })))
