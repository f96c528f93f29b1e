/**
 * The update of the policy: any loss of the domain through its derivatives with respect to log-probabilities and entropy.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import type { MiniBatch } from "../../../domain/Batch.ts"
import { policyLoss, requiredSignals } from "../../../domain/Loss.ts"
import type { LearnerError, UpdateOptions } from "../../../services/Optimizer.ts"
import { held } from "./held.ts"
import * as Learner from "./Learner.ts"
import { headRows, predict, predictBackward, scatter } from "./Predictions.ts"
import { read } from "./read.ts"

/**
 * `Optimizer.update` over a learner. `onStep` runs with the step, at once.
 *
 * @category operations
 * @since 0.1.0
 */
export const update = Effect.fn("PolicyLearner.update")(function*(
  learner: Learner.Learner,
  batch: MiniBatch,
  options: UpdateOptions,
  onStep: () => void
): Effect.fn.Return<Readonly<Record<string, number>>, LearnerError> {
  const { device, network } = learner
  const { loss, temperature } = options
  yield* Learner.requireSignals(batch, requiredSignals(loss))
  const microStep: Learner.MicroStep = (packed, { gradients, keep, microBatches }) => {
    const { ids, lossMask, sequenceOffsets } = packed
    const atOnce = headRows(device, network)
    return held(
      device,
      () => predict(network, { ids, cuSeqlens: sequenceOffsets, mask: lossMask }, temperature, keep, atOnce),
      Effect.fnUntraced(function*(predicted) {
        const { entropy, logProb } = predicted.result
        const [lp = new Float32Array(), ent = new Float32Array()] = yield* read(device, [logProb, entropy])
        const result = policyLoss(loss, {
          ...packed,
          logProbs: scatter(predicted.selection, lp, ids.length),
          entropy: scatter(predicted.selection, ent, ids.length)
        }, { ...batch.normaliser, microBatches })
        const { gradEntropy, gradLogProbs } = result
        yield* device.pieces(() =>
          predictBackward(network, predicted, gradLogProbs, gradEntropy, temperature, gradients.add, atOnce)
        )
        return { loss: result.value, metrics: result.metrics }
      })
    )
  }
  return yield* Learner.update(learner, batch, options, microStep, onStep)
})
