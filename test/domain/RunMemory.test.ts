import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { ModelConfig } from "../../src/domain/ModelConfig.ts"
import * as RunConfig from "../../src/domain/RunConfig.ts"
import * as RunMemory from "../../src/domain/RunMemory.ts"

const GiB = 2 ** 30

/** The shape of SmolLM2-135M. */
const model = new ModelConfig({
  architecture: "llama",
  vocabularySize: 49_152,
  hiddenSize: 576,
  intermediateSize: 1536,
  layers: 30,
  heads: 9,
  keyValueHeads: 3,
  headDim: 64,
  maxPositions: 8192,
  slidingWindow: null,
  rmsNormEps: 1e-5,
  ropeTheta: 1e5,
  ropeScaling: null,
  tieWordEmbeddings: true,
  attentionBias: false,
  bosTokenIds: [],
  eosTokenIds: [],
  padTokenId: null,
  precision: "float32",
  others: {}
})

const rollout = {
  prompts: 4,
  groupSize: 4,
  concurrency: 64,
  maxTurns: 2,
  maxPromptTokens: 200,
  maxResponseTokens: 100,
  maxObservationTokens: 60,
  maxContextTokens: 600
}

const config = (input: object = {}, part: object = {}) =>
  Result.getOrThrow(RunConfig.resolve({
    ...input,
    rollout: { ...rollout, ...part },
    update: { microBatchTokens: 2048 }
  } as never))

const place: RunMemory.Place = {
  storage: "float32",
  deviceBytes: 4 * GiB,
  machineBytes: 16 * GiB,
  separate: false,
  paged: true,
  growing: true
}

const wide: RunMemory.Place = {
  ...place,
  deviceBytes: Number.POSITIVE_INFINITY,
  machineBytes: Number.POSITIVE_INFINITY
}

const phaseOf = ({ phases }: RunMemory.RunMemory, name: RunMemory.Phase["name"]) =>
  phases.find((phase) => phase.name === name)

describe("the memory of a run", () => {
  it("counts what is searched in its process, and what building that takes before", () => {
    const without = RunMemory.plan(config(), model, wide, 500)
    const memory = { resident: 2 * GiB, building: 12 * GiB }
    const searching = RunMemory.plan(config(), model, wide, 500, { memory })
    assert.deepStrictEqual(searching.index, memory)
    assert.isAbove(without.phases.length, 2)
    for (const { device, machine, name } of without.phases) {
      assert.deepStrictEqual(phaseOf(searching, name), { name, device, machine: machine + 2 * GiB })
    }
    assert.strictEqual(phaseOf(searching, "index")?.device, 0)
    assert.approximately((phaseOf(searching, "index")?.machine ?? 0) / GiB, 12.3, 0.2)
    assert.isUndefined(phaseOf(without, "index"))
    const narrow = { ...wide, machineBytes: 11 * GiB }
    const refused = RunMemory.plan(config(), model, narrow, 500, {
      memory,
      instead: { set: "retriever.kind=bm25", memory: { resident: GiB, building: GiB } }
    })
    assert.match(
      refused.problem ?? "",
      /^building the index of the corpus takes 12\.\d\d GiB, and the machine has 11\.00 GiB/
    )
    assert.deepStrictEqual(refused.set, ["retriever.kind=bm25"])
    assert.deepStrictEqual(RunMemory.plan(config(), model, narrow, 500, { memory }).set, [])
  })

  it("counts both policies, the critic, and the sessions of training and of evaluations by themselves", () => {
    const parameters = 134_515_008
    const grpo = RunMemory.plan(config(), model, wide, 500)
    assert.strictEqual(grpo.parameters, parameters)
    assert.strictEqual(grpo.weights, 4 * parameters)
    assert.strictEqual(grpo.referencePolicy, 4 * parameters)
    assert.strictEqual(grpo.optimizer, 8 * parameters)
    assert.strictEqual(grpo.critic, 0)
    assert.strictEqual(grpo.checkpointCopy, 12 * parameters)
    assert.strictEqual(grpo.sequenceTokens, 600)
    assert.deepStrictEqual([grpo.samplingSessions, grpo.evaluationSessions], [16, 64])
    // 2 (keys and values) x 30 layers x 3 heads x 64 x 4 bytes, in blocks of 16 tokens with 64 to spare
    assert.strictEqual(grpo.samplingCache, (16 * 608 + 1024) * 46_080)
    assert.strictEqual(grpo.evaluationCache, (64 * 608 + 1024) * 46_080)
    const ppo = RunMemory.plan(config({ algorithm: "ppo" }), model, wide, 500)
    assert.strictEqual(ppo.critic, 12 * parameters)
    assert.strictEqual(ppo.checkpointCopy, 24 * parameters)
    const plain = RunMemory.plan(config({ kl: { placement: "none" }, evaluation: { every: 0 } }), model, wide, 500)
    assert.deepStrictEqual([plain.referencePolicy, plain.evaluationCache, plain.evaluationSessions], [0, 0, 0])
    assert.deepStrictEqual(plain.phases.map(({ name }) => name), ["sampling", "training", "checkpoint"])
  })

  it("evaluations ask no more questions at once than there are, than they are limited to, and than may be in flight", () => {
    const sessions = (questions: number | null, there: number | null, part: object = {}) =>
      RunMemory.plan(config({ evaluation: { questions } }, part), model, wide, there).evaluationSessions
    assert.deepStrictEqual(
      [
        sessions(null, 500),
        sessions(8, 500),
        sessions(50, 12),
        sessions(null, null),
        sessions(null, 500, { concurrency: 5 })
      ],
      [64, 8, 12, 64, 5]
    )
    // steps ahead go on while the policy is evaluated
    assert.strictEqual(sessions(8, 500, { staleness: 2 }), 8 + 2 * 16)
    assert.strictEqual(RunMemory.plan(config({}, { staleness: 2 }), model, wide, 8).samplingSessions, 48)
  })

  it("has the cache of the larger of both while it trains, and the copy of a checkpoint on top of what was taken", () => {
    const planned = RunMemory.plan(config(), model, wide, 500)
    const [sampling, evaluation, training, checkpoint] = planned.phases
    assert.isAbove(evaluation?.device ?? 0, sampling?.device ?? 0)
    assert.strictEqual(
      training?.device,
      planned.weights + planned.optimizer + planned.referencePolicy + planned.evaluationCache + planned.gradients +
        planned.workspace + planned.activations
    )
    assert.strictEqual(checkpoint?.device, training?.device, "WebAssembly gives nothing back")
    assert.strictEqual(checkpoint?.machine, (training?.machine ?? 0) + planned.checkpointCopy)
    assert.strictEqual(planned.needed.machine, checkpoint?.machine)
    const other = RunMemory.plan(config(), model, { ...wide, growing: false }, 500)
    assert.isBelow(phaseOf(other, "checkpoint")?.device ?? 0, training?.device ?? 0)
  })

  it("of a card takes the machine only for the program and the copy", () => {
    const planned = RunMemory.plan(config(), model, { ...wide, separate: true, growing: false, storage: "bfloat16" }, 8)
    assert.strictEqual(phaseOf(planned, "training")?.machine, planned.program)
    assert.strictEqual(phaseOf(planned, "checkpoint")?.machine, planned.program + planned.checkpointCopy)
    assert.strictEqual(planned.needed.machine, planned.program + planned.checkpointCopy)
  })

  it("where attention cannot read the cache in place, the sessions of a step are there twice", () => {
    const paged = RunMemory.plan(config(), model, wide, 8)
    const copied = RunMemory.plan(config(), model, { ...wide, paged: false }, 8)
    assert.strictEqual(
      (phaseOf(copied, "sampling")?.device ?? 0) - (phaseOf(paged, "sampling")?.device ?? 0),
      16 * 600 * 46_080
    )
  })

  it("refuses what the device or the machine does not hold, and says which", () => {
    const device = RunMemory.plan(config(), model, { ...place, deviceBytes: 3 * GiB }, 500)
    assert.isFalse(device.fits)
    assert.match(device.problem ?? "", /^training takes [0-9.]+ GiB, and the device has 3\.00 GiB$/)
    const machine = RunMemory.plan(config(), model, { ...wide, machineBytes: 5 * GiB }, 500)
    assert.match(machine.problem ?? "", /^checkpoint takes [0-9.]+ GiB, and the machine has 5\.00 GiB$/)
    assert.isTrue(RunMemory.plan(config(), model, wide, 500).fits)
    const hopeless = RunMemory.plan(config(), model, { ...place, machineBytes: GiB }, 500)
    assert.deepStrictEqual([hopeless.fits, hopeless.set], [false, []])
  })

  it.prop(
    "what it proposes fits, wherever it proposes something",
    [
      Schema.Int.check(Schema.isBetween({ minimum: 8, maximum: 160 })),
      Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 600 })),
      Schema.Int.check(Schema.isBetween({ minimum: 128, maximum: 100_000 })),
      Schema.Boolean
    ],
    ([tenths, concurrency, microBatchTokens, growing]) => {
      const own: RunMemory.Place = growing
        ? { ...place, machineBytes: tenths * GiB / 10 }
        : { ...wide, growing, machineBytes: tenths * GiB / 10 }
      const whole = {
        ...config({}, { concurrency, prompts: 64 }),
        update: { ...config().update, microBatchTokens }
      }
      const planned = RunMemory.plan(whole, model, own, 500)
      if (planned.fits) return assert.deepStrictEqual([planned.problem, planned.set], [null, []])
      if (planned.set.length === 0) return
      const mended = Result.getOrThrow(
        Result.flatMap(RunConfig.setAll(whole as never, [...planned.set]), RunConfig.resolve)
      )
      assert.isTrue(RunMemory.plan(mended, model, own, 500).fits, planned.set.join(" "))
    },
    { arbitrary: { runs: 100 } }
  )
})
