/**
 * Per-token estimators of the Kullback-Leibler divergence of the policy from the reference policy
 * (`core_algos.py`, `kl_penalty`; Schulman, "Approximating KL Divergence").
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/**
 * With d = log π_ref − log π of a token: `k1` is −d, `k2` is d²/2, `k3` is exp(d) − d − 1, `abs` is |d|. The reference
 * calls them `kl`, `mse`, `low_var_kl` and `abs`.
 *
 * @category schemas
 * @since 0.1.0
 */
export const KlEstimator = Schema.Literals(["k1", "k2", "k3", "abs"])

/**
 * @category models
 * @since 0.1.0
 */
export type KlEstimator = typeof KlEstimator.Type

/**
 * How k3's exponential is kept finite (quirk Q33).
 *
 * - `pre20`: above d = 20 the exponential continues as its tangent, so value and derivative stay finite and a token whose
 *   probability collapsed is still pulled back.
 * - `post10`: the reference; the value is clamped to [−10, 10], the derivative is 0 where it is (from d = 2.611 on) and
 *   NaN where the exponential overflows in 32 bits.
 *
 * @category schemas
 * @since 0.1.0
 */
export const KlClamp = Schema.Literals(["pre20", "post10"])

/**
 * @category models
 * @since 0.1.0
 */
export type KlClamp = typeof KlClamp.Type

const LIMIT = 20
const EXP_LIMIT = Math.exp(LIMIT)
const MAX_FLOAT32 = 3.4028234663852886e38

/**
 * The estimate for one token, in nats.
 *
 * @category getters
 * @since 0.1.0
 */
export const value = (estimator: KlEstimator, clamp: KlClamp, logProb: number, refLogProb: number): number => {
  const d = refLogProb - logProb
  switch (estimator) {
    case "k1":
      return -d
    case "k2":
      return 0.5 * d * d
    case "abs":
      return Math.abs(d)
    case "k3": {
      if (clamp === "post10") return Math.min(10, Math.max(-10, Math.exp(d) - d - 1))
      return d <= LIMIT ? Math.exp(d) - d - 1 : EXP_LIMIT * (1 + d - LIMIT) - d - 1
    }
  }
}

/**
 * The derivative of {@link value} with respect to `logProb`.
 *
 * @category getters
 * @since 0.1.0
 */
export const derivative = (estimator: KlEstimator, clamp: KlClamp, logProb: number, refLogProb: number): number => {
  const d = refLogProb - logProb
  switch (estimator) {
    case "k1":
      return 1
    case "k2":
      return -d
    case "abs":
      return -Math.sign(d)
    case "k3": {
      const exp = Math.exp(d)
      if (clamp === "pre20") return 1 - (d <= LIMIT ? exp : EXP_LIMIT)
      if (exp > MAX_FLOAT32) return Number.NaN
      return exp - d - 1 > 10 ? 0 : 1 - exp
    }
  }
}
