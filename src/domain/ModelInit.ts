/**
 * First weights of a model that is trained from nothing.
 *
 * @since 0.1.0
 */
import type { ModelConfig } from "./ModelConfig.ts"
import * as ModelTensors from "./ModelTensors.ts"
import * as Prng from "./Prng.ts"

/**
 * A weight with its numbers in row-major order.
 *
 * @category models
 * @since 0.1.0
 */
export interface InitialWeight extends ModelTensors.TensorSpec {
  readonly data: Float32Array
}

/** Two independent numbers of the standard normal distribution (Box and Muller). */
const normalPair = (prng: Prng.Prng): readonly [number, number] => {
  const radius = Math.sqrt(-2 * Math.log(1 - prng.float()))
  const angle = 2 * Math.PI * prng.float()
  return [radius * Math.cos(angle), radius * Math.sin(angle)]
}

const normal = (prng: Prng.Prng, count: number, deviation: number): Float32Array => {
  const data = new Float32Array(count)
  for (let index = 0; index < count; index += 2) {
    const [a, b] = normalPair(prng)
    data[index] = a * deviation
    if (index + 1 < count) data[index + 1] = b * deviation
  }
  return data
}

const uniform = (prng: Prng.Prng, count: number, bound: number): Float32Array =>
  Float32Array.from({ length: count }, () => (2 * prng.float() - 1) * bound)

const initial = (prng: Prng.Prng, { name, shape }: ModelTensors.TensorSpec): Float32Array => {
  const count = ModelTensors.elements(shape)
  if (name.endsWith("norm.weight")) return new Float32Array(count).fill(1)
  if (name.endsWith(".bias")) return new Float32Array(count)
  if (name === ModelTensors.embedding) return normal(prng, count, 0.05)
  return uniform(prng, count, 1 / Math.sqrt(shape[1] ?? 1))
}

/**
 * The weights of a seed, in the order of the computation: norms 1, biases 0, embeddings normal with deviation 0.05, and
 * matrices uniform within `1 / sqrt(inputs)` (the default of PyTorch's linear layers). Made as they are read, as often as they are.
 *
 * @category constructors
 * @since 0.1.0
 */
export const weights = (config: ModelConfig, seed: string): Iterable<InitialWeight> => ({
  *[Symbol.iterator]() {
    for (const spec of ModelTensors.tensors(config)) {
      yield { ...spec, data: initial(Prng.make(`${seed}/initial/${spec.name}`), spec) }
    }
  }
})
