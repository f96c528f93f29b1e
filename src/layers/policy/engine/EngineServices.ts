/**
 * What an engine offers, wherever it runs.
 *
 * @since 0.1.0
 */
import { Context, type Effect, type Option } from "effect"
import type { ModelConfig } from "../../../domain/ModelConfig.ts"
import type { TensorSpec } from "../../../domain/ModelTensors.ts"
import type { Critic } from "../../../services/Critic.ts"
import type { DeviceError } from "../../../services/Device.ts"
import type { Optimizer } from "../../../services/Optimizer.ts"
import type { Policy } from "../../../services/Policy.ts"
import type { ReferencePolicy } from "../../../services/ReferencePolicy.ts"

/**
 * The engine's services over one set of parameters.
 *
 * @category models
 * @since 0.1.0
 */
export interface EngineServices {
  readonly policy: Policy["Service"]
  readonly optimizer: Optimizer["Service"]
  readonly critic: Option.Option<Critic["Service"]>
  readonly reference: Option.Option<ReferencePolicy["Service"]>
  readonly config: ModelConfig
  /** One of the weights that `ModelTensors.tensors` lists, as it is now. */
  readonly readWeight: (tensor: TensorSpec) => Effect.Effect<Float32Array, DeviceError>
}

/**
 * The engine whose services `Policy`, `Optimizer`, `Critic` and `ReferencePolicy` are, wherever it runs.
 *
 * @category services
 * @since 0.1.0
 */
export class Engine extends Context.Service<Engine, EngineServices>()(
  "effect-search-r1/layers/policy/engine/EngineServices/Engine"
) {}
