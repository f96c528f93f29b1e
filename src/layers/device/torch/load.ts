/**
 * Finds the built addon and makes a backend of it.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { Effect, FileSystem } from "effect"
import { DeviceUnavailable } from "../../../services/Device.ts"
import { type Addon, loadAddon } from "./addon.ts"
import { TorchBackend, type TorchOptions } from "./backend.ts"
import { Graphs } from "./graphs.ts"
import { readInstallation } from "./installation.ts"
import { cardAttention, processorAttention } from "./kernels/attention.ts"
import { registerKernels } from "./kernels/define.ts"
import { elementwiseKernels } from "./kernels/elementwise.ts"
import { fusedKernels } from "./kernels/fused.ts"
import { layoutKernels } from "./kernels/layout.ts"
import { matMulKernels } from "./kernels/matMul.ts"
import { cardPagedAttention } from "./kernels/paged.ts"
import { reductionKernels } from "./kernels/reductions.ts"
import { Programs } from "./programs.ts"

const attentionFor = (backend: TorchBackend) =>
  !backend.isCard ? processorAttention : backend.low ? [...cardAttention, cardPagedAttention] : []

/** The backend of this thread for a device and a precision, made and registered where it is not there yet. */
const backendFor = (addon: Addon, options: TorchOptions): TorchBackend => {
  const existing: unknown = tf.findBackend(options.name)
  if (existing instanceof TorchBackend) return existing
  tf.env().set("PROD", true)
  const backend = new TorchBackend(addon, options)
  backend.activate()
  backend.graphs = backend.isCard ? new Graphs(backend) : new Programs(backend)
  registerKernels(options.name, [
    ...elementwiseKernels,
    ...reductionKernels,
    ...layoutKernels,
    ...matMulKernels,
    ...attentionFor(backend),
    ...fusedKernels
  ])
  tf.registerBackend(options.name, () => backend)
  return backend
}

const mend = "Run \"search-r1 device install torch\""

const unavailable = (reason: string, advice = mend) => new DeviceUnavailable({ device: "torch", reason, mend: advice })

/**
 * The addon that is built for the PyTorch of this machine, and why not where there is none.
 *
 * @category getters
 * @since 0.1.0
 */
export const locate = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const installation = yield* readInstallation
  if (installation === undefined) return yield* unavailable("its addon is not built")
  const { addon, fingerprint, library, torch } = installation
  if (!(yield* Effect.orElseSucceed(fs.exists(addon), () => false))) return yield* unavailable(`${addon} is gone`)
  const now = yield* Effect.option(fs.stat(library))
  if (now._tag === "None") return yield* unavailable(`PyTorch ${torch} is no longer at ${library}`)
  if (`${now.value.size}` !== fingerprint) {
    return yield* unavailable(`the PyTorch at ${library} has changed since the addon was built`)
  }
  return installation
})

/**
 * Loads the addon into this thread and readies a backend.
 *
 * @category constructors
 * @since 0.1.0
 */
export const load = Effect.fnUntraced(function*(
  options:
    | {
      readonly device?: string | undefined
      readonly storage?: "float32" | "bfloat16" | undefined
      readonly addon?: string | undefined
    }
    | undefined
) {
  const file = options?.addon ?? (yield* locate).addon
  return yield* Effect.try({
    try: () => {
      const addon = loadAddon(file)
      const chosen = options?.device ?? (addon.cudaDevices() > 0 ? "cuda" : "cpu")
      const device = chosen === "cuda" ? "cuda:0" : chosen
      const storage = options?.storage ?? (device === "cpu" ? "float32" : "bfloat16")
      return backendFor(addon, { name: `torch-${device}-${storage}`, device, storage })
    },
    catch: (cause) =>
      unavailable(
        `${file} cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`,
        "Run \"search-r1 device install torch --force\""
      )
  })
})
