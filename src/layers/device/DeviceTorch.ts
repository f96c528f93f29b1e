/**
 * PyTorch's libtorch under tfjs: a processor, or an NVIDIA card with bfloat16, flash attention and captured graphs.
 *
 * @since 0.1.0
 */
import { Effect, type FileSystem, Layer, type Path } from "effect"
import { Device, DeviceFailed, type DeviceUnavailable } from "../../services/Device.ts"
import { make } from "./tfjs.ts"
import type { TorchBackend } from "./torch/backend.ts"
import { load } from "./torch/load.ts"

/**
 * `device` is `cpu`, `cuda` or `cuda:N`; left out, the first card where the addon and the machine have one. `storage`
 * is the precision of weights and activations: bfloat16 on a card, float32 elsewhere, unless told. `limitBytes` bounds
 * what all tensors together may take. `addon` is the path of a built addon instead of the installed one.
 *
 * @category models
 * @since 0.1.0
 */
export interface TorchDeviceOptions {
  readonly device?: string | undefined
  readonly storage?: "float32" | "bfloat16" | undefined
  readonly limitBytes?: number | undefined
  readonly addon?: string | undefined
}

const settled = (backend: TorchBackend): Effect.Effect<void, DeviceFailed> =>
  Effect.tryPromise({
    try: () => backend.addon.settle(),
    catch: (cause) =>
      new DeviceFailed({ device: backend.name, reason: cause instanceof Error ? cause.message : String(cause) })
  })

/**
 * The device `torch`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options?: TorchDeviceOptions
): Layer.Layer<Device, DeviceUnavailable, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(
    Device,
    Effect.gen(function*() {
      const backend = yield* load(options)
      const limitBytes = options?.limitBytes ??
        (backend.isCard ? backend.addon.memory().total : Number.POSITIVE_INFINITY)
      backend.limitBytes = limitBytes
      return Device.of(make({
        name: "torch",
        backend: backend.name,
        capabilities: {
          storage: backend.low ? "bfloat16" : "float32",
          threads: backend.addon.threads(),
          asynchronous: backend.isCard
        },
        limitBytes,
        settled: settled(backend)
      }))
    })
  )
