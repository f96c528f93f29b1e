/**
 * Flags that choose the kinds of questions about a world.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import type * as WorldQuestion from "../domain/world/WorldQuestion.ts"
import * as Flag from "./flag.ts"

/**
 * Weights as people write them: `40,50,10` or `40/50/10`, one to three of them.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parseHops = (text: string): WorldQuestion.Mix["hops"] | undefined => {
  const weights = text.split(/[,/]/).map((part) => part.trim() === "" ? Number.NaN : Number(part))
  const [one = 0, two = 0, three = 0] = weights
  return weights.length > 3 || weights.some((weight) => !Number.isFinite(weight)) ? undefined : [one, two, three]
}

/**
 * A flag for a share of questions, 0 unless given.
 *
 * @category flags
 * @since 0.1.0
 */
export const share = (name: string, description: string) =>
  Flag.Finite(name).pipe(
    Flag.withSchema(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))),
    Flag.withMetavar("SHARE"),
    Flag.withDescription(description),
    Flag.withDefault(0)
  )
