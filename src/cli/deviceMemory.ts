/**
 * What a device and its machine have for a model.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import type { Place } from "../domain/RunMemory.ts"
import * as MachineMemory from "../layers/machineMemory.ts"
import { Device } from "../services/Device.ts"
import { deviceLayer, type DeviceName } from "./deviceFlag.ts"

/**
 * A device as a run would find it, with what sets the limit of its machine's memory.
 *
 * @category models
 * @since 0.2.0
 */
export interface RunPlace extends Place {
  readonly machineLimit: string
}

/**
 * Precision and memory of a device as it is now, and what its machine can still give.
 *
 * @category getters
 * @since 0.2.0
 */
export const placeOf = Effect.fnUntraced(function*(name: DeviceName) {
  const machine = yield* MachineMemory.available()
  const { capabilities, memory } = yield* Device
  const { limitBytes } = yield* memory
  const place: RunPlace = {
    storage: capabilities.storage,
    deviceBytes: limitBytes,
    machineBytes: machine.bytes,
    machineLimit: machine.limit,
    // a queue of its own is a card's
    separate: capabilities.asynchronous,
    paged: capabilities.fused.has("SrPagedAttention"),
    growing: name === "wasm"
  }
  return place
}, (effect, name) => Effect.provide(effect, deviceLayer({ device: name })))

/**
 * Precision and memory of a device as it is now: what the device may use, and no more than the machine has where its tensors
 * lie there.
 *
 * @category getters
 * @since 0.1.0
 */
export const deviceMemory = (name: DeviceName) =>
  Effect.map(placeOf(name), ({ deviceBytes, machineBytes, separate, storage }) => ({
    storage,
    limitBytes: separate ? deviceBytes : Math.min(deviceBytes, machineBytes)
  }))
