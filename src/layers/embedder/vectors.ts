/**
 * Arithmetic of embeddings.
 *
 * @since 0.1.0
 */

/**
 * Scales a vector to length 1 in place; a vector of zeros stays one.
 *
 * @category arithmetic
 * @since 0.1.0
 */
export const normalize = (vector: Float32Array): Float32Array => {
  let squares = 0
  for (const value of vector) squares += value * value
  if (squares > 0) {
    const scale = 1 / Math.sqrt(squares)
    for (let index = 0; index < vector.length; index++) vector[index] = (vector[index] ?? 0) * scale
  }
  return vector
}
