/**
 * The coefficient of the KL penalty over a run (spec 4.3).
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

const Positive = Schema.Finite.check(Schema.isGreaterThan(0))

/**
 * `fixed` keeps the coefficient; `adaptive` steers the divergence towards `target` (Ziegler et al. 2019), moving within
 * about `horizon` trajectories.
 *
 * @category schemas
 * @since 0.1.0
 */
export const KlController = Schema.Struct({
  kind: Schema.Literals(["fixed", "adaptive"]),
  /** The divergence to keep, in nats a token. */
  target: Positive,
  horizon: Positive
})

/**
 * @category models
 * @since 0.1.0
 */
export type KlController = typeof KlController.Type

/**
 * The coefficient of the next step, from this step's and the divergence that was measured over `trajectories`:
 * β·(1 + clip(kl/target − 1, −0.2, 0.2)·trajectories/horizon) for an adaptive controller. A divergence that is not
 * finite changes nothing.
 *
 * @category combinators
 * @since 0.1.0
 */
export const next = (
  controller: KlController,
  coefficient: number,
  measured: { readonly kl: number; readonly trajectories: number }
): number => {
  if (controller.kind === "fixed" || !Number.isFinite(measured.kl)) return coefficient
  const error = Math.min(0.2, Math.max(-0.2, measured.kl / controller.target - 1))
  return coefficient * (1 + error * measured.trajectories / controller.horizon)
}
