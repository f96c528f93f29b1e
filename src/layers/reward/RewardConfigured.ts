/**
 * The reward that a run configuration describes.
 *
 * @since 0.1.0
 */
import type { Layer } from "effect"
import type { Scopes } from "../../domain/FormatReward.ts"
import type { RunConfig } from "../../domain/RunConfigSchema.ts"
import type { Reward } from "../../services/Reward.ts"
import * as RewardComposite from "./RewardComposite.ts"
import * as RewardExactMatch from "./RewardExactMatch.ts"
import * as RewardF1 from "./RewardF1.ts"
import * as RewardFormat from "./RewardFormat.ts"
import * as RewardPenalties from "./RewardPenalties.ts"
import * as RewardSearchCost from "./RewardSearchCost.ts"
import * as RewardSubEm from "./RewardSubEm.ts"

const outcome = (config: RunConfig["reward"], scopes: Scopes): Layer.Layer<Reward> => {
  switch (config.kind) {
    case "exactMatch":
      return RewardExactMatch.layer(scopes)
    case "subEm":
      return RewardSubEm.layer(scopes)
    case "f1":
      return RewardF1.layer(scopes)
    case "format":
      return RewardFormat.layer({
        scopes,
        weights: {
          structure: config.structureScore,
          final: config.finalScore,
          retrieval: config.retrievalScore
        }
      })
  }
}

/**
 * The reward of `config.kind`, with the search price and the penalties that are not zero. `scopes` are those of the run's
 * switches (`compat`).
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (config: RunConfig["reward"], scopes: Scopes): Layer.Layer<Reward> => {
  const answer = outcome(config, scopes)
  const priced = config.searchPrice > 0
  const fined = config.noAnswerPenalty > 0 || config.noSearchPenalty > 0
  if (!priced && !fined) return answer
  return RewardComposite.layer({
    answer: { weight: 1, reward: answer },
    ...(priced && {
      searches: {
        weight: 1,
        reward: RewardSearchCost.layer({ price: config.searchPrice, free: config.freeSearches })
      }
    }),
    ...(fined && {
      penalties: {
        weight: 1,
        reward: RewardPenalties.layer({
          noAnswer: config.noAnswerPenalty,
          noSearch: config.noSearchPenalty,
          answerScope: scopes.answerScope
        })
      }
    })
  })
}
