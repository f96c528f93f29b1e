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

  /** Two layers of width 8 whose bytes can be counted by hand. */
  const small = new ModelConfig({
    ...half,
    architecture: "llama",
    vocabularySize: 100,
    hiddenSize: 8,
    intermediateSize: 16,
    layers: 2,
    heads: 2,
    keyValueHeads: 1,
    headDim: 4,
    tieWordEmbeddings: false,
    attentionBias: false
  })
  const few = { ...options, storage: "float32", limitBytes: 1e9, sequenceTokens: 10, sessions: 3 } as const
  // two embeddings of 800, two layers of 64 + 32 + 32 + 64 + 3 * 128 + 16, a norm of 8
  const parameters = 2792

  it("counts every byte of a small model", () => {
    const { advice, fits, microBatchTokens, ...counted } = plan(small, few)
    assert.deepStrictEqual(counted, {
      parameters,
      weights: 4 * parameters,
      gradients: 4 * parameters,
      optimizer: 8 * parameters,
      reference: 0,
      critic: 0,
      // logits and their gradient, and the head's gradient with its sum
      workspace: 1000 * 8 + 800 * 8,
      // keys and values of two layers, one head of 4
      cachePerToken: 64,
      cache: 3 * 10 * 64,
      // a layer keeps 4 * 8 + 24 + 48 numbers and the log-sum of two heads
      activationsPerToken: { everything: 4 * 424, inputs: 2 * 32 + 3 * 424 },
      fixed: 16 * parameters + 14_400 + 1920
    })
    assert.deepStrictEqual([fits, advice], [true, []])
    assert.strictEqual(microBatchTokens.inputs, Math.floor((1e9 - counted.fixed) / 1336))
    const half16 = plan(small, { ...few, storage: "bfloat16" })
    assert.deepStrictEqual(
      [half16.weights, half16.gradients, half16.optimizer, half16.workspace, half16.cachePerToken],
      [6 * parameters, 2 * parameters, 8 * parameters, 1000 * 6 + 6400, 32]
    )
    assert.deepStrictEqual(half16.activationsPerToken, { everything: 4 * 216, inputs: 32 + 3 * 216 })
    // Qwen3 norms queries and keys of three heads besides
    const normed = plan(new ModelConfig({ ...small, architecture: "qwen3" }), few)
    assert.strictEqual(normed.activationsPerToken.everything, 4 * 472)
    const both = plan(small, { ...few, reference: true, critic: true })
    assert.deepStrictEqual(
      [both.reference, both.critic, both.fixed],
      [4 * parameters, 16 * parameters, counted.fixed + 20 * parameters]
    )
    // a quarter of a gigabyte's worth of logits at once
    assert.strictEqual(plan(half, options).workspace, 2 ** 28 * 6 + 151_936 * 896 * 8)
  })

  it("of sampling holds one row of logits a session", () => {
    const sampling = { ...few, training: false } as const
    const counted = plan(small, sampling)
    assert.deepStrictEqual(
      [counted.workspace, counted.gradients, counted.optimizer, counted.fixed],
      [1200, 0, 0, 4 * parameters + 1200 + 1920]
    )
    assert.deepStrictEqual(counted.microBatchTokens, { everything: 0, inputs: 0 })
    assert.strictEqual(plan(small, { ...sampling, sessions: 0 }).workspace, 400)
    assert.isTrue(plan(small, { ...sampling, limitBytes: counted.fixed }).fits)
    const short = plan(small, { ...sampling, limitBytes: counted.fixed - 1 })
    assert.isFalse(short.fits)
    assert.deepStrictEqual(short.advice, [
      "0.0 GiB are needed, 0.0 GiB are there",
      "generate for 2 sessions at a time instead of 3",
      "store in bfloat16 (a card): halves activations, cache and gradients",
      "take a smaller model"
    ])
  })

  it("fits to the byte, and advises what would save most", () => {
    const { fixed } = plan(small, few)
    const exactly = plan(small, { ...few, limitBytes: fixed + 13_360 })
    assert.deepStrictEqual([exactly.fits, exactly.microBatchTokens], [true, { everything: 7, inputs: 10 }])
    const less = plan(small, { ...few, limitBytes: fixed + 13_359 })
    assert.deepStrictEqual([less.fits, less.microBatchTokens.inputs], [false, 9])
    assert.strictEqual(plan(small, { ...few, limitBytes: fixed - 1 }).microBatchTokens.inputs, 0)
    const tight = { ...options, critic: true, reference: true, sessions: 256 }
    const needed = plan(half, tight).fixed + 4096 * plan(half, tight).activationsPerToken.inputs
    assert.deepStrictEqual(plan(half, { ...tight, limitBytes: needed - 640 * 4096 }).advice, [
      `${(needed / GiB).toFixed(1)} GiB are needed, ${((needed - 640 * 4096) / GiB).toFixed(1)} GiB are there`,
      "generate for 255 sessions at a time instead of 256",
      // 16 bytes a parameter, and 6 without gradients and moments
      `use an algorithm without a critic, such as GRPO: saves ${(494_032_768 * 16 / GiB).toFixed(1)} GiB`,
      `train without a KL term: saves ${(494_032_768 * 6 / GiB).toFixed(1)} GiB`,
      "shorten trajectories, or take a smaller model"
    ])
    // a cache that is too small to make up for what is missing is not the place to save
    assert.notInclude(plan(half, { ...tight, limitBytes: 2 * GiB }).advice.join(), "sessions")
  })
})
