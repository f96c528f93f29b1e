import { assert, describe, it } from "@effect/vitest"
import { plan } from "../../src/domain/MemoryPlan.ts"
import { ModelConfig } from "../../src/domain/ModelConfig.ts"

const GiB = 2 ** 30

/** The shape of Qwen2.5-0.5B. */
const half = new ModelConfig({
  architecture: "qwen2",
  vocabularySize: 151_936,
  hiddenSize: 896,
  intermediateSize: 4864,
  layers: 24,
  heads: 14,
  keyValueHeads: 2,
  headDim: 64,
  maxPositions: 32_768,
  slidingWindow: null,
  rmsNormEps: 1e-6,
  ropeTheta: 1e6,
  ropeScaling: null,
  tieWordEmbeddings: true,
  attentionBias: true,
  bosTokenIds: [],
  eosTokenIds: [],
  padTokenId: null,
  precision: "bfloat16",
  others: {}
})

const options = {
  storage: "bfloat16",
  limitBytes: 80 * GiB,
  sequenceTokens: 4096,
  sessions: 64,
  reference: false,
  critic: false,
  training: true
} as const

describe("the memory plan", () => {
  it("counts the published number of weights and their bytes", () => {
    const planned = plan(half, options)
    assert.strictEqual(planned.parameters, 494_032_768)
    assert.strictEqual(planned.weights, 494_032_768 * 6)
    assert.strictEqual(planned.gradients, 494_032_768 * 2)
    assert.strictEqual(planned.optimizer, 494_032_768 * 8)
    // 2 (keys and values) x 24 layers x 2 heads x 64 x 2 bytes
    assert.strictEqual(planned.cachePerToken, 12_288)
    assert.strictEqual(planned.cache, 64 * 4096 * 12_288)
    assert.isTrue(planned.fits)
    assert.isAbove(planned.microBatchTokens.inputs, planned.microBatchTokens.everything)
  })

  it("leaves no byte uncounted: the largest micro-batch fits, one token more does not", () => {
    const { activationsPerToken, fixed, microBatchTokens } = plan(half, options)
    for (const keep of ["everything", "inputs"] as const) {
      const used = fixed + microBatchTokens[keep] * activationsPerToken[keep]
      assert.isAtMost(used, options.limitBytes)
      assert.isAbove(used + activationsPerToken[keep], options.limitBytes)
    }
  })

  it("refuses what does not fit and says what would help", () => {
    const planned = plan(half, { ...options, limitBytes: 12 * GiB, sessions: 256, critic: true, reference: true })
    assert.isFalse(planned.fits)
    const advice = planned.advice.join("\n")
    assert.match(advice, /GiB are needed, 12\.0 GiB are there/)
    assert.match(advice, /without a critic/)
    assert.match(advice, /without a KL term/)
  })

  it("takes the advice it gives: as many sessions as it says do fit", () => {
    const tight = { ...options, limitBytes: 40 * GiB, sessions: 1024 }
    const fewer = Number(/generate for (\d+) sessions/.exec(plan(half, tight).advice.join("\n"))?.[1])
    assert.isTrue(plan(half, { ...tight, sessions: fewer }).fits)
  })

  it("needs neither gradients nor optimizer for sampling", () => {
    const planned = plan(half, { ...options, training: false, limitBytes: 8 * GiB })
    assert.strictEqual(planned.gradients + planned.optimizer + planned.critic + planned.reference, 0)
    assert.isTrue(planned.fits)
  })
})
