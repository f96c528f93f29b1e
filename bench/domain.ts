/**
 * What the pure code costs: the action parser, the scorer, the format reward, the advantage estimators and the losses,
 * each beside the naive way to write it, measured in turns in the same process. The naive way is the reference's regular
 * expression, its chain of replacements, or one array per operation; each must give the same result.
 */
import { Result } from "effect"
import * as Advantage from "../src/domain/Advantage.ts"
import * as Answer from "../src/domain/Answer.ts"
import * as Batch from "../src/domain/Batch.ts"
import * as FormatReward from "../src/domain/FormatReward.ts"
import * as Loss from "../src/domain/Loss.ts"
import * as MicroBatch from "../src/domain/MicroBatch.ts"
import { ScoredTrajectory } from "../src/domain/Outcome.ts"
import { fixed } from "../src/domain/Presets.ts"
import * as Prng from "../src/domain/Prng.ts"
import { parseAction } from "../src/domain/Protocol.ts"
import { Question } from "../src/domain/Question.ts"
import * as TokenMask from "../src/domain/TokenMask.ts"
import { type Segment, tokenCount, Trajectory } from "../src/domain/Trajectory.ts"
import { fromSegments } from "../src/domain/Transcript.ts"

const prng = Prng.make("bench/domain")
const rounds = 7
const roundMillis = 120

const median = (values: ReadonlyArray<number>) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN

/** Calls a second of `work` for about `roundMillis`. */
const rate = (work: () => unknown): number => {
  const start = performance.now()
  let calls = 0
  let elapsed = 0
  while (elapsed < roundMillis) {
    work()
    calls += 1
    elapsed = performance.now() - start
  }
  return calls / (elapsed / 1000)
}

/** Units a second of `ours`, and its ratio to `naive`, medians over rounds in which both take turns. */
const compare = (name: string, units: number, ours: () => unknown, naive: () => unknown) => {
  rate(ours)
  rate(naive)
  const samples = Array.from({ length: rounds }, () => [rate(ours), rate(naive)] as const)
  const perSecond = Math.round(median(samples.map(([own]) => own)) * units)
  const ratio = Number(median(samples.map(([own, other]) => own / other)).toFixed(2))
  process.stderr.write(`${name}: ${perSecond.toLocaleString("en")} a second, ${ratio} times the naive way\n`)
  return { perSecond, ratio }
}

const expectEqual = (what: string, actual: unknown, expected: unknown) => {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) {
    throw new Error(`${what}: the naive way gives another result`)
  }
}

const words = "the answer of a question about places and people who lived there long ago in some city".split(" ")
const prose = (count: number) => Array.from({ length: count }, () => words[prng.below(words.length)]).join(" ")

const turns = Array.from({ length: 256 }, (_, index) => {
  const think = `<think>${prose(40 + prng.below(80))}</think>\n`
  return index % 16 === 15
    ? think + prose(300)
    : think + (index % 4 === 3 ? `<answer> ${prose(3)} </answer>` : `<search> ${prose(8)} </search>`)
})

const naiveParse = (text: string) => {
  const match = /<(search|answer)>([\s\S]*?)<\/\1>/.exec(text)
  return match === null ? null : [match[1], match[2]?.trim()]
}

const benchParser = () => {
  const ours = () => turns.map((turn) => parseAction(turn))
  expectEqual(
    "parser",
    ours().map((action) =>
      action._tag === "None" ? null : action._tag === "Search" ? ["search", action.query] : ["answer", action.answer]
    ),
    turns.map(naiveParse)
  )
  return compare("parsed turns", turns.length, ours, () => turns.map(naiveParse))
}

const graded = Array.from({ length: 256 }, (_, index) => ({
  prediction: `The ${prose(1 + prng.below(4))}, ${index}!`,
  golden: Array.from({ length: 1 + prng.below(4) }, () => prose(1 + prng.below(4)))
}))

const naiveNormalize = (text: string) =>
  text.toLowerCase().split("").filter((letter) => !"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~".includes(letter)).join("")
    .replace(/\b(a|an|the)\b/g, " ").split(/\s+/).filter((word) => word !== "").join(" ")

const benchScorer = () => {
  const ours = () => graded.map(({ golden, prediction }) => Answer.exactMatch(prediction, golden))
  const naive = () =>
    graded.map(({ golden, prediction }) => golden.map(naiveNormalize).includes(naiveNormalize(prediction)))
  expectEqual("scorer", ours(), naive())
  return compare("exact matches", graded.length, ours, naive)
}

const observation = `\n\n<information>${
  [1, 2, 3].map((position) => `Doc ${position}(Title: "T") ${prose(100)}`).join("\n")
}</information>\n\n`

const ids = (length: number) => Int32Array.from({ length }, () => prng.below(50_000))

const sampled = (text: string, length: number): Segment => ({
  _tag: "Sampled",
  text,
  ids: ids(length),
  logProbs: Float32Array.from({ length }, () => -prng.float()),
  surplus: "",
  finish: "stop",
  policyVersion: 0
})

/** 512 prompts in groups of 5, two searches each: a step of the reference, some 1,000 tokens a trajectory. */
const scored = Array.from({ length: 2560 }, (_, index) => {
  const segments: Array<Segment> = [{ _tag: "Prompt", text: "prompt", ids: ids(180) }]
  for (let turn = 0; turn < 2; turn++) {
    segments.push(sampled("<think>why</think>\n<search> q </search>", 40 + prng.below(40)), {
      _tag: "Observation",
      text: observation,
      ids: ids(300),
      source: { _tag: "Search", query: "q", documents: [], truncated: 0 }
    })
  }
  segments.push(sampled("<think>so</think>\n<answer> Paris </answer>", 30 + prng.below(40)))
  return new ScoredTrajectory({
    trajectory: new Trajectory({
      promptKey: `p${Math.floor(index / 5)}`,
      sample: index % 5,
      question: new Question({ id: `q${index}`, dataSource: "bench", question: "where?", goldenAnswers: ["Paris"] }),
      segments,
      ending: "answer",
      counts: { turns: 3, validActions: 3, invalidActions: 0, requestedSearches: 2, executedSearches: 2 }
    }),
    reward: prng.below(2),
    components: {},
    metrics: {}
  })
})

const benchFormat = () => {
  const part = scored.slice(0, 256)
  const text = (one: ScoredTrajectory) => one.trajectory.segments.map((segment) => segment.text).join("")
  const shape =
    /^prompt(<think>[\s\S]*?<\/think>\s*<search>[\s\S]*?<\/search>\s*<information>[\s\S]*?<\/information>\s*)*<think>[\s\S]*?<\/think>\s*<answer>[\s\S]*?<\/answer>$/
  const ours = () =>
    part.map(({ trajectory }) =>
      FormatReward.total(FormatReward.compute(fromSegments(trajectory.segments), ["Paris"], FormatReward.v03, fixed))
    )
  const naive = () =>
    part.map((one) => {
      const whole = text(one)
      const answer = [...whole.matchAll(/<answer>([\s\S]*?)<\/answer>/g)].at(-1)?.[1] ?? ""
      const correct = naiveNormalize(answer) === "paris"
      const valid = shape.test(whole)
      const retrieved = valid &&
        [...whole.matchAll(/<information>([\s\S]*?)<\/information>/g)].some((match) =>
          ` ${naiveNormalize(match[1] ?? "")} `.includes(" paris ")
        )
      return (correct ? 1 : 0) + (valid ? 0 : correct ? -0.2 : 0.1) +
        (retrieved && !correct ? FormatReward.v03.retrieval : 0)
    })
  expectEqual("format reward", ours(), naive())
  return compare("format rewards", part.length, ours, naive)
}

const tokens = scored.reduce((sum, one) => sum + tokenCount(one.trajectory.segments), 0)

const benchGroups = () => {
  const ours = () => Advantage.estimate(Advantage.grpo, scored)
  const naive = () =>
    scored.map((one) => {
      const group = scored.filter((other) => other.trajectory.promptKey === one.trajectory.promptKey)
      const mean = group.reduce((sum, other) => sum + other.reward, 0) / group.length
      const deviation = Math.sqrt(
        group.reduce((sum, other) => sum + (other.reward - mean) ** 2, 0) / (group.length - 1)
      )
      const mask = one.trajectory.segments.flatMap((segment) =>
        Array.from(segment.ids, () => segment._tag === "Sampled" ? 1 : 0)
      )
      return mask.map((selected) => selected * Math.fround((one.reward - mean) / (deviation + 1e-6)))
    })
  const [first] = Result.getOrThrow(ours()).advantages
  expectEqual("GRPO", Array.from(first ?? []), naive()[0])
  return compare("GRPO trajectories", scored.length, ours, naive)
}

const benchGae = () => {
  const part = scored.slice(0, 512)
  const values = part.map((one) => Float32Array.from(ids(tokenCount(one.trajectory.segments)), () => prng.float()))
  const ours = () => Advantage.estimate({ ...Advantage.grpo, estimator: "gae", lambda: 0.95 }, part, { values })
  const naive = () => {
    const rows = part.map((one, index) => {
      const mask = [...TokenMask.mask(one.trajectory.segments, "loss")]
      const steps = mask.flatMap((selected, position) => selected === 1 ? [position] : [])
      const row = mask.map(() => 0)
      let next = { value: 0, advantage: 0 }
      for (const [order, position] of steps.toReversed().entries()) {
        const value = values[index]?.[position] ?? 0
        const advantage = (order === 0 ? one.reward : 0) + next.value - value + 0.95 * next.advantage
        row[position] = advantage
        next = { value, advantage }
      }
      return { row, mask }
    })
    const all = rows.flatMap(({ mask, row }) => row.filter((_, position) => mask[position] === 1))
    const mean = all.reduce((sum, value) => sum + value, 0) / all.length
    const variance = all.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (all.length - 1)
    return rows.map(({ mask, row }) =>
      row.map((value, position) => (mask[position] ?? 0) * ((value - mean) / Math.sqrt(variance + 1e-8)))
    )
  }
  const estimate = Result.getOrThrow(ours())
  naive()[3]?.forEach((value, position) => {
    if (Math.abs(value - (estimate.advantages[3]?.[position] ?? Number.NaN)) > 1e-5) throw new Error("GAE differs")
  })
  const partTokens = part.reduce((sum, one) => sum + tokenCount(one.trajectory.segments), 0)
  return compare("GAE tokens", partTokens, ours, naive)
}

const trainingSequences = () => {
  const { advantages } = Result.getOrThrow(Advantage.estimate(Advantage.grpo, scored))
  return scored.map((one, index) => {
    const oldLogProbs = Float32Array.from(advantages[index] ?? [], () => -prng.float())
    return Result.getOrThrow(Batch.sequence(one, {
      advantages: advantages[index] ?? new Float32Array(),
      oldLogProbs,
      refLogProbs: oldLogProbs.map((value) => value + 0.2 * prng.float() - 0.1)
    }))
  })
}

const benchLoss = (sequences: ReadonlyArray<Batch.TrainingSequence>) => {
  const batch = Batch.miniBatch(sequences.slice(0, 64))
  const packed = MicroBatch.pack(batch.sequences)
  const logProbs = packed.oldLogProbs.map((old) => old + 0.4 * prng.float() - 0.2)
  const entropy = packed.oldLogProbs.map(() => prng.float())
  const config: Loss.LossConfig = { ...Loss.ppo, klCoefficient: 0.001 }
  const normaliser = { ...batch.normaliser, microBatches: 1 }
  const out = { gradLogProbs: new Float32Array(logProbs.length), gradEntropy: new Float32Array(logProbs.length) }
  const ours = () => Loss.policyLoss(config, { ...packed, logProbs, entropy }, normaliser, out)
  // one array per operation and none for the gradient: what composing a loss of tensor operations does going forward
  const naive = () => {
    const mask = Array.from(packed.lossMask)
    const advantages = Array.from(packed.advantages)
    const ratio = Array.from(logProbs, (lp, index) => Math.exp(lp - (packed.oldLogProbs[index] ?? 0)))
    const free = ratio.map((value, index) => -(advantages[index] ?? 0) * value)
    const bounded = ratio.map((value) => Math.min(1.2, Math.max(0.8, value)))
    const held = bounded.map((value, index) => -(advantages[index] ?? 0) * value)
    const term = free.map((value, index) => Math.max(value, held[index] ?? 0))
    const distance = Array.from(logProbs, (lp, index) => (packed.refLogProbs?.[index] ?? 0) - lp)
    const kl = distance.map((d) => Math.exp(d) - d - 1)
    const mean = (values: ReadonlyArray<number>) =>
      values.reduce((sum, value, index) => sum + value * (mask[index] ?? 0), 0) / normaliser.tokens
    return mean(term) - 0.001 * mean(Array.from(entropy)) + 0.001 * mean(kl)
  }
  if (Math.abs(ours().value - naive()) > 1e-9) throw new Error("the losses differ")
  return compare("loss tokens", logProbs.length, ours, naive)
}

const benchPacking = (sequences: ReadonlyArray<Batch.TrainingSequence>) => {
  const batch = Batch.miniBatch(sequences)
  const ours = () => MicroBatch.microBatches(batch, { maxTokens: 16_384 })
  const fields = ["ids", "lossMask", "advantages", "oldLogProbs", "refLogProbs"] as const
  const naive = () =>
    MicroBatch.split(batch.sequences, { maxTokens: 16_384 }).map((part) =>
      fields.map((field) => part.flatMap((sequence) => Array.from(sequence[field] ?? [])))
    )
  return compare("packed tokens", tokens, ours, naive)
}

export const run = async () => {
  const parser = benchParser()
  const scorer = benchScorer()
  const format = benchFormat()
  const grpo = benchGroups()
  const gae = benchGae()
  const sequences = trainingSequences()
  const loss = benchLoss(sequences)
  const packing = benchPacking(sequences)
  return {
    parserPerSecond: parser.perSecond,
    parserRatio: parser.ratio,
    scorerPerSecond: scorer.perSecond,
    scorerRatio: scorer.ratio,
    formatRewardPerSecond: format.perSecond,
    formatRewardRatio: format.ratio,
    grpoTrajectoriesPerSecond: grpo.perSecond,
    grpoRatio: grpo.ratio,
    gaeTokensPerSecond: gae.perSecond,
    gaeRatio: gae.ratio,
    lossTokensPerSecond: loss.perSecond,
    lossRatio: loss.ratio,
    packedTokensPerSecond: packing.perSecond,
    packingRatio: packing.ratio
  }
}
