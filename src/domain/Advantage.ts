/**
 * Advantage estimation: what each token of a scored trajectory is worth.
 *
 * Only scored trajectories come in, so a failed rollout cannot be mistaken for a reward of 0.
 *
 * @since 0.1.0
 */
import { Result } from "effect"
import { type AdvantageConfig, type AdvantageError, MissingEstimatorInput } from "./AdvantageConfig.ts"
import { MisalignedTokens } from "./Batch.ts"
import { discountedReturns, gae } from "./Gae.ts"
import { value as klValue } from "./KlEstimator.ts"
import type { ScoredTrajectory } from "./Outcome.ts"
import * as OutcomeAdvantage from "./OutcomeAdvantage.ts"
import { type EmptyMask, moments, standardise, summary, summaryOfRows } from "./Statistics.ts"
import * as TokenMask from "./TokenMask.ts"

export * from "./AdvantageConfig.ts"

/**
 * Per-token numbers, one array `[tokens]` a trajectory: the critic's values (for `gae`), log-probabilities under the
 * policy and the reference policy (for a KL penalty in the reward).
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenInputs {
  readonly values?: ReadonlyArray<Float32Array> | undefined
  readonly logProbs?: ReadonlyArray<Float32Array> | undefined
  readonly refLogProbs?: ReadonlyArray<Float32Array> | undefined
}

/**
 * Advantages and returns, one array `[tokens]` a trajectory, 0 where nothing is learned. `metrics` has the reference's
 * names: `critic/score`, `critic/rewards`, `critic/advantages`, `critic/returns`, `critic/values` with
 * `/{mean,max,min}`, `critic/vf_explained_var` and `critic/kl` (the mean over trajectories of the mean over tokens).
 *
 * @category models
 * @since 0.1.0
 */
export interface Estimate {
  readonly advantages: ReadonlyArray<Float32Array>
  readonly returns: ReadonlyArray<Float32Array>
  readonly metrics: Readonly<Record<string, number>>
}

/**
 * The key of a trajectory's group. `index` is what the reference does: the number at the end of the question's id,
 * whatever data set it is from, and one group for all that have none (Q30).
 *
 * @category getters
 * @since 0.1.0
 */
export const groupKeyOf = (scored: ScoredTrajectory, groupKey: AdvantageConfig["groupKey"]): string =>
  groupKey === "promptInstance"
    ? scored.trajectory.promptKey
    : (/\d+$/.exec(scored.trajectory.question.id)?.[0] ?? "0")

/**
 * The trajectories whose group has different rewards; the others have an advantage of 0 under every group estimator
 * (DAPO's dynamic sampling filters them). Groups of one are kept.
 *
 * @category combinators
 * @since 0.1.0
 */
export const informative = (
  scored: ReadonlyArray<ScoredTrajectory>,
  groupKey: AdvantageConfig["groupKey"] = "promptInstance"
): ReadonlyArray<ScoredTrajectory> => {
  const kept = new Set<number>()
  for (const group of OutcomeAdvantage.groupsOf(scored.map((one) => groupKeyOf(one, groupKey)))) {
    const first = scored[group[0]!]!.reward
    if (group.length === 1 || group.some((index) => scored[index]!.reward !== first)) {
      for (const index of group) kept.add(index)
    }
  }
  return scored.filter((_, index) => kept.has(index))
}

interface Row {
  readonly steps: Uint8Array
  readonly whitened: Uint8Array
  readonly loss: Uint8Array
  /** The KL penalty of each token before its coefficient, 0 where the loss does not look; none without one. */
  readonly kl: Float64Array | undefined
  readonly klSum: number
  readonly klMean: number
}

const makeRow = (config: AdvantageConfig, scored: ScoredTrajectory, lp?: Float32Array, lr?: Float32Array): Row => {
  const { segments } = scored.trajectory
  const loss = TokenMask.mask(segments, config.lossScope)
  const masks = {
    loss,
    steps: config.gaeScope === config.lossScope ? loss : TokenMask.mask(segments, config.gaeScope),
    whitened: config.whitenMask === config.lossScope ? loss : TokenMask.mask(segments, config.whitenMask)
  }
  if (config.rewardKl === null || lp === undefined || lr === undefined) {
    return { ...masks, kl: undefined, klSum: 0, klMean: 0 }
  }
  const { clamp, estimator } = config.rewardKl
  const kl = new Float64Array(loss.length)
  let [klSum, trained] = [0, 0]
  for (let position = 0; position < kl.length; position++) {
    if (loss[position] !== 1) continue
    const estimate = klValue(estimator, clamp, lp[position]!, lr[position]!)
    kl[position] = estimate
    klSum += estimate
    trained += 1
  }
  return { ...masks, kl, klSum, klMean: trained === 0 ? 0 : klSum / trained }
}

/** Rewards along the trajectory: the penalties of its tokens, and the score at its last step. */
const tokenRewards = (row: Row, score: number, coefficient: number): Float64Array => {
  const rewards = row.kl?.map((penalty) => -coefficient * penalty) ?? new Float64Array(row.loss.length)
  const last = row.steps.lastIndexOf(1)
  if (last !== -1) rewards[last] = rewards[last]! + score
  return rewards
}

const whitenRows = (
  values: ReadonlyArray<Float32Array>,
  rows: ReadonlyArray<Row>
): Result.Result<ReadonlyArray<Float32Array>, EmptyMask> =>
  Result.map(moments(values, rows.map((row) => row.whitened)), (found) =>
    values.map((row, index) => {
      const whitened = standardise(row, found)
      const { loss } = rows[index]!
      for (let position = 0; position < whitened.length; position++) {
        if (loss[position] !== 1) whitened[position] = 0
      }
      return whitened
    }))

const broadcast = (advantages: Float64Array, rows: ReadonlyArray<Row>): ReadonlyArray<Float32Array> =>
  rows.map(({ loss }, index) => {
    const advantage = advantages[index]!
    const row = new Float32Array(loss.length)
    for (let position = 0; position < row.length; position++) {
      if (loss[position] === 1) row[position] = advantage
    }
    return row
  })

const checkInputs = (
  config: AdvantageConfig,
  scored: ReadonlyArray<ScoredTrajectory>,
  inputs: TokenInputs,
  rows: ReadonlyArray<Row>
): AdvantageError | undefined => {
  const needed: ReadonlyArray<readonly [string, ReadonlyArray<Float32Array> | undefined, boolean]> = [
    ["values", inputs.values, config.estimator === "gae"],
    ["logProbs", inputs.logProbs, config.rewardKl !== null],
    ["refLogProbs", inputs.refLogProbs, config.rewardKl !== null]
  ]
  for (const [field, arrays, isNeeded] of needed) {
    if (!isNeeded) continue
    for (let index = 0; index < scored.length; index++) {
      const values = arrays?.[index]
      const { promptKey, sample } = scored[index]!.trajectory
      if (values === undefined) {
        return new MissingEstimatorInput({
          estimator: field === "values" ? config.estimator : "a KL penalty in the reward",
          field
        })
      }
      const tokens = rows[index]!.loss.length
      if (values.length !== tokens) {
        return new MisalignedTokens({ promptKey, sample, field, tokens, found: values.length })
      }
    }
  }
  return undefined
}

const explainedVariance = (
  returns: ReadonlyArray<Float32Array>,
  values: ReadonlyArray<Float32Array>,
  masks: ReadonlyArray<Uint8Array>
): Record<string, number> => {
  const residuals = returns.map((row, index) => row.map((value, position) => value - values[index]![position]!))
  const [total, residual] = [moments(returns, masks), moments(residuals, masks)]
  return Result.isSuccess(total) && Result.isSuccess(residual)
    ? { "critic/vf_explained_var": 1 - residual.success.variance / (total.success.variance + 1e-5) }
    : {}
}

/**
 * Advantages (and returns) of every token of every trajectory, aligned with `scored`.
 *
 * @category getters
 * @since 0.1.0
 */
export const estimate = (
  config: AdvantageConfig,
  scored: ReadonlyArray<ScoredTrajectory>,
  inputs: TokenInputs = {}
): Result.Result<Estimate, AdvantageError> => {
  const rows = scored.map((one, index) => makeRow(config, one, inputs.logProbs?.[index], inputs.refLogProbs?.[index]))
  const problem = checkInputs(config, scored, inputs, rows)
  if (problem !== undefined) return Result.fail(problem)

  const coefficient = config.rewardKl?.coefficient ?? 0
  const scores = scored.map((one) => one.reward)
  const shaped = scores.map((score, index) => score - coefficient * rows[index]!.klSum)
  const keys = scored.map((one) => groupKeyOf(one, config.groupKey))
  const rewardsOf = (index: number) => tokenRewards(rows[index]!, scores[index]!, coefficient)

  let returns: ReadonlyArray<Float32Array> | undefined
  let advantages: Result.Result<ReadonlyArray<Float32Array>, EmptyMask>
  switch (config.estimator) {
    case "gae": {
      const estimates = rows.map((row, index) =>
        gae({
          rewards: rewardsOf(index),
          values: inputs.values![index]!,
          gamma: config.gamma,
          lambda: config.lambda,
          mask: row.steps
        })
      )
      returns = estimates.map((one) => one.returns)
      advantages = whitenRows(estimates.map((one) => one.advantages), rows)
      break
    }
    case "reinforce++": {
      returns = rows.map((row, index) => discountedReturns(rewardsOf(index), config.gamma, row.steps))
      advantages = whitenRows(returns, rows)
      break
    }
    case "reinforce++-baseline":
      advantages = whitenRows(broadcast(OutcomeAdvantage.drGrpo(shaped, keys), rows), rows)
      break
    case "grpo":
      advantages = Result.succeed(broadcast(OutcomeAdvantage.grpo(shaped, keys), rows))
      break
    case "dr-grpo":
      advantages = Result.succeed(broadcast(OutcomeAdvantage.drGrpo(shaped, keys), rows))
      break
    case "rloo":
      advantages = Result.succeed(broadcast(OutcomeAdvantage.rloo(shaped, keys), rows))
      break
    case "reinforce":
      advantages = Result.succeed(broadcast(OutcomeAdvantage.reinforce(shaped, config.baseline), rows))
      break
  }
  if (Result.isFailure(advantages)) return Result.fail(advantages.failure)

  const masks = rows.map((row) => row.whitened)
  const learned = returns ?? advantages.success
  return Result.succeed({
    advantages: advantages.success,
    returns: learned,
    metrics: {
      ...summary("critic/score", scores),
      ...summary("critic/rewards", shaped),
      ...summaryOfRows("critic/advantages", advantages.success, masks),
      ...summaryOfRows("critic/returns", learned, masks),
      ...(inputs.values !== undefined && {
        ...summaryOfRows("critic/values", inputs.values, masks),
        ...explainedVariance(learned, inputs.values, masks)
      }),
      ...(config.rewardKl !== null && rows.length > 0 && {
        "critic/kl": rows.reduce((sum, row) => sum + row.klMean, 0) / rows.length,
        "critic/kl_coeff": coefficient
      })
    }
  })
}
