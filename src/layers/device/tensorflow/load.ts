/**
 * Finds and loads `@tensorflow/tfjs-node-gpu` or `@tensorflow/tfjs-node`.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { Effect, FileSystem, Path } from "effect"
import { createRequire } from "node:module"
import util from "node:util"
import { DeviceUnavailable } from "../../../services/Device.ts"
import * as UserCache from "../../userCache.ts"
import { findTensorFlow, type TensorFlowBackend } from "./backend.ts"
import { Graphs } from "./Graphs.ts"
import { registerKernels } from "./kernels.ts"
import { load as loadOperations } from "./operations.ts"
import * as Quiet from "./quiet.ts"

const packages = ["@tensorflow/tfjs-node-gpu", "@tensorflow/tfjs-node"] as const

const mend = "Run \"search-r1 device install tensorflow\""

/**
 * Where the device's own installation lives, below the cache directory.
 *
 * @category getters
 * @since 0.1.0
 */
export const installDirectory = Effect.gen(function*() {
  const path = yield* Path.Path
  return path.join(yield* UserCache.directory, "tensorflow")
})

/**
 * An installed package: its entry point and the directory it is in.
 *
 * @category models
 * @since 0.1.0
 */
export interface TensorFlowLocation {
  readonly name: string
  readonly version: string
  readonly directory: string
  readonly hasBinding: boolean
}

/**
 * The first of the packages that Node resolves from the current directory, from this package or from the cache
 * directory, one with a built binding before one without.
 *
 * @category getters
 * @since 0.1.0
 */
export const locate = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const roots = [path.resolve("noop.js"), import.meta.filename, path.join(yield* installDirectory, "noop.js")]
  const found: Array<TensorFlowLocation> = []
  for (const root of roots) {
    for (const name of packages) {
      const manifest = yield* Effect.option(Effect.try({
        try: () => {
          const require = createRequire(root)
          const file = require.resolve(`${name}/package.json`)
          const content: unknown = require(file)
          return { file, content }
        },
        catch: String
      }))
      if (manifest._tag === "None") continue
      const { content, file } = manifest.value
      const version = typeof content === "object" && content !== null && "version" in content ? content.version : ""
      const directory = path.dirname(file)
      const builds = yield* fs.readDirectory(path.join(directory, "lib")).pipe(Effect.orElseSucceed(() => []))
      const hasBinding = yield* Effect.reduce(
        builds,
        () => false,
        (found, build) =>
          found ? Effect.succeed(true) : fs.exists(path.join(directory, "lib", build, "tfjs_binding.node"))
      ).pipe(Effect.orElseSucceed(() => false))
      found.push({ name, version: String(version), directory, hasBinding })
    }
  }
  const location = found.find((candidate) => candidate.hasBinding) ?? found[0]
  if (location === undefined) {
    return yield* new DeviceUnavailable({
      device: "tensorflow",
      reason: "neither @tensorflow/tfjs-node-gpu nor @tensorflow/tfjs-node is installed",
      mend
    })
  }
  if (!location.hasBinding) {
    return yield* new DeviceUnavailable({
      device: "tensorflow",
      reason: `${location.name} in ${location.directory} lacks its native binding`,
      mend
    })
  }
  if (location.version !== tf.version_core) {
    return yield* new DeviceUnavailable({
      device: "tensorflow",
      reason: `${location.name} is ${location.version}, tfjs-core is ${tf.version_core}`,
      mend: `Install ${location.name}@${tf.version_core}, or remove it and run "search-r1 device install tensorflow"`
    })
  }
  return location
})

/** tfjs-node 4 calls two functions that Node 23 removed. */
const restoreUtil = (): void => {
  const legacy: Record<string, (value: unknown) => boolean> = {
    isNullOrUndefined: (value) => value === null || value === undefined,
    isArray: (value) => Array.isArray(value)
  }
  for (const [name, value] of Object.entries(legacy)) {
    if (!(name in util)) Object.defineProperty(util, name, { value, configurable: true, writable: true })
  }
}

/**
 * Loads the backend into this thread; it stays loaded until the thread ends.
 *
 * @category constructors
 * @since 0.1.0
 */
export const load = Effect.fnUntraced(function*(
  location: TensorFlowLocation,
  options: { readonly operations: boolean }
) {
  const path = yield* Path.Path
  const existing = findTensorFlow()
  if (existing !== undefined) return existing
  const own = yield* installDirectory
  const installed = location.directory.startsWith(`${own}${path.sep}`)
  yield* Quiet.hush(installed ? own : undefined)
  const backend = yield* Effect.try({
    try: (): TensorFlowBackend => {
      tf.env().set("PROD", true)
      restoreUtil()
      createRequire(import.meta.url)(location.directory)
      const backend = findTensorFlow()
      if (backend === undefined) throw new TypeError("the package registered no backend")
      // What a graph returns lies in the host's memory: on a card every result would be copied there and back.
      const graphs = new Graphs(backend)
      const captured = graphs.run.bind(graphs)
      if (!backend.isUsingGpuDevice) Object.assign(backend, { captures: true, adapts: true, captured, graphs })
      return backend
    },
    catch: (cause) =>
      new DeviceUnavailable({
        device: "tensorflow",
        reason: `${location.directory} cannot be loaded: ${cause instanceof Error ? cause.message : String(cause)}`,
        mend: "Run \"search-r1 device install tensorflow --force\""
      })
  })
  // The addon is built against the library of the installation beside it.
  const mine = !backend.isUsingGpuDevice && installed
  registerKernels(options.operations && mine && (yield* loadOperations(own)))
  return backend
})
