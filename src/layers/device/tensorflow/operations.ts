/**
 * Operations of our own for TensorFlow: an addon built from `native/tensorflow` that registers them when it is loaded.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import * as Addons from "./addons.ts"

/**
 * @category constants
 * @since 0.1.0
 */
export const addon: Addons.AddonSource = {
  name: "operations",
  flags: [
    "-O3",
    "-march=native",
    "-fopenmp-simd",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-std=c++17",
    "-shared",
    "-fPIC",
    "-w",
    "-DNDEBUG",
    "-DNAPI_VERSION=8",
    // The library is built with vectors of its own choice; only the alignment of its buffers must agree.
    "-DEIGEN_DONT_VECTORIZE",
    "-DEIGEN_MAX_ALIGN_BYTES=64"
  ]
}

/**
 * Loads the addon of an installation into this process; false where there is none that works.
 *
 * @category constructors
 * @since 0.1.0
 */
export const load = (directory: string) => Effect.map(Addons.load(addon, directory), (exports) => exports !== undefined)
