/**
 * Weights as they are read: one at a time.
 *
 * @since 0.1.0
 */
import type { Stream } from "effect"
import type { ModelConfig } from "../../domain/ModelConfig.ts"
import type { TensorSpec } from "../../domain/ModelTensors.ts"
import type { ModelLoadError } from "./ModelFileErrors.ts"

/**
 * A weight in float32, row by row.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tensor extends TensorSpec {
  readonly data: Float32Array
}

/**
 * A model that can be loaded. `tensors` reads each weight of `ModelTensors.tensors(config)` once, in that order and one
 * at a time, and can be run again.
 *
 * @category models
 * @since 0.1.0
 */
export interface Weights {
  readonly config: ModelConfig
  readonly tensors: Stream.Stream<Tensor, ModelLoadError>
}
