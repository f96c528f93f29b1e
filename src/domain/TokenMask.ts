/**
 * Which tokens of a trajectory enter which formula (spec 4.8).
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { lossMask, type Segment, tokenCount } from "./Trajectory.ts"

/**
 * `loss`: the tokens that the policy sampled. `attention`: everything behind the prompt, observations included, which is
 * what the reference's attention mask of the response selects.
 *
 * @category schemas
 * @since 0.1.0
 */
export const MaskScope = Schema.Literals(["loss", "attention"])

/**
 * @category models
 * @since 0.1.0
 */
export type MaskScope = typeof MaskScope.Type

/**
 * 1 for every token behind the prompt and 0 for the prompt's own, shape `[tokenCount]`.
 *
 * @category getters
 * @since 0.1.0
 */
export const responseMask = (segments: ReadonlyArray<Segment>): Uint8Array => {
  const mask = new Uint8Array(tokenCount(segments))
  let offset = 0
  for (const segment of segments) {
    if (segment._tag !== "Prompt") mask.fill(1, offset, offset + segment.ids.length)
    offset += segment.ids.length
  }
  return mask
}

/**
 * The mask of a scope, shape `[tokenCount]`. Position 0 is never part of it: no token precedes it, so nothing predicts
 * it.
 *
 * @category getters
 * @since 0.1.0
 */
export const mask = (segments: ReadonlyArray<Segment>, scope: MaskScope): Uint8Array => {
  const selected = scope === "loss" ? lossMask(segments) : responseMask(segments)
  if (selected.length > 0) selected[0] = 0
  return selected
}

/**
 * Number of selected tokens.
 *
 * @category getters
 * @since 0.1.0
 */
export const count = (mask: Uint8Array): number => {
  let selected = 0
  for (const value of mask) selected += value
  return selected
}
