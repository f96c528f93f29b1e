/**
 * The fused operations that run the same way on processors and cards.
 *
 * @since 0.1.0
 */
import { scalarType } from "../addon.ts"
import type { TorchBackend } from "../backend.ts"
import { listResult, operator, unaryResult } from "../operators.ts"
import { effect, type Made, several, single, type TorchKernel } from "./define.ts"
import { wideProduct } from "./matMul.ts"

const rmsNorm = unaryResult("search_r1::rms_norm")
const rmsNormGrad = listResult("search_r1::rms_norm_grad")
const rope = unaryResult("search_r1::rope")
const swiGlu = unaryResult("search_r1::swiglu")
const swiGluGrad = listResult("search_r1::swiglu_grad")
const pagedAttention = unaryResult("search_r1::paged_attention")
const kvAppend = operator("search_r1::kv_append")
const logProb = listResult("search_r1::log_prob")
const logProbGrad = unaryResult("search_r1::log_prob_grad")
const embeddingGrad = unaryResult("search_r1::embedding_grad")
const adamW = operator("search_r1::adamw_")
const sumSquares = unaryResult("search_r1::sum_squares")
const sample = listResult("search_r1::sample")

const narrow = unaryResult("aten::narrow")
const cat = unaryResult("aten::cat")
const mm = unaryResult("aten::mm")
const wideMm = unaryResult("aten::mm", "dtype")
const addInto = operator("aten::add_", "Tensor")
const addmmInto = operator("aten::addmm_")
const transpose = unaryResult("aten::t")
const zeros = unaryResult("aten::zeros")
const toType = unaryResult("aten::_to_copy")

/** Logits held at once: 4 MB on a processor, where they should stay in its cache, 1 GB on a card. */
const tileElements = (torch: TorchBackend): number => torch.isCard ? 1 << 28 : 1 << 20

const tiles = (torch: TorchBackend, tokens: number, vocabulary: number): ReadonlyArray<readonly [number, number]> => {
  const rows = Math.max(1, Math.floor(tileElements(torch) / vocabulary))
  const list: Array<readonly [number, number]> = []
  for (let begin = 0; begin < tokens; begin += rows) list.push([begin, Math.min(rows, tokens - begin)])
  return list
}

const part = (torch: TorchBackend, x: number, [begin, size]: readonly [number, number], all: number): number =>
  size === all ? x : narrow(torch, x, 0, begin, size)

const joined = (torch: TorchBackend, parts: ReadonlyArray<number>): number =>
  parts.length === 1 ? parts[0] ?? 0 : cat(torch, parts, 0)

/** `dHead += dLogitsᵀ · rows` in float32. */
const accumulate = (torch: TorchBackend, sum: number, dLogits: number, rows: number): void => {
  const left = transpose(torch, dLogits)
  if (!torch.low) addmmInto(torch, sum, left, rows)
  else if (torch.isCard) addInto(torch, sum, wideMm(torch, left, rows, scalarType.float32))
  else addInto(torch, sum, toType(torch, mm(torch, left, rows), scalarType.float32))
}

const tokenLogProb = several("SrTokenLogProb", ({ input, number, torch }) => {
  const [hidden, head, targets] = [input("hidden"), input("head"), input("targets")]
  const [tokens = 0] = hidden.shape
  const [vocabulary = 1] = head.shape
  const [rows, weight, ids] = [torch.compute(hidden), torch.compute(head), torch.input(targets)]
  const parts = tiles(torch, tokens, vocabulary).map((tile) =>
    logProb(
      torch,
      wideProduct(torch, part(torch, rows, tile, tokens), weight, true),
      part(torch, ids, tile, tokens),
      1 / number("temperature", 1)
    )
  )
  return [0, 1, 2].map((i): Made => ({
    handle: joined(torch, parts.map((tile) => tile[i] ?? 0)),
    shape: [tokens],
    dtype: "float32"
  }))
})

const tokenLogProbGrad = several("SrTokenLogProbGrad", ({ input, number, torch }) => {
  const [hidden, head] = [input("hidden"), input("head")]
  const [tokens = 0, dim = 0] = hidden.shape
  const [vocabulary = 1] = head.shape
  const [rows, weight] = [torch.compute(hidden), torch.compute(head)]
  const byToken = ["targets", "lse", "entropy", "dLogProb", "dEntropy"].map((name) => torch.input(input(name)))
  const type = torch.low ? scalarType.bfloat16 : scalarType.float32
  const dHead = zeros(torch, [vocabulary, dim], scalarType.float32, null, torch.device)
  const parts = tiles(torch, tokens, vocabulary).map((tile) => {
    torch.addon.beginScope()
    const own = part(torch, rows, tile, tokens)
    const logits = wideProduct(torch, own, weight, true)
    const given = byToken.map((x) => part(torch, x, tile, tokens))
    const dLogits = logProbGrad(torch, logits, ...given, 1 / number("temperature", 1), type)
    accumulate(torch, dHead, dLogits, own)
    const dRows = mm(torch, dLogits, weight)
    torch.addon.endScope(dRows)
    return dRows
  })
  return [
    { handle: joined(torch, parts), shape: hidden.shape, dtype: "float32" },
    { handle: torch.low ? toType(torch, dHead, type) : dHead, shape: head.shape, dtype: "float32" }
  ]
})

/**
 * @category constants
 * @since 0.1.0
 */
export const fusedKernels: ReadonlyArray<TorchKernel> = [
  single("SrRmsNorm", ({ input, number, torch }) => {
    const x = input("x")
    const handle = rmsNorm(torch, torch.compute(x), torch.compute(input("weight")), number("eps"))
    return { handle, shape: x.shape, dtype: "float32" }
  }),
  several("SrRmsNormGrad", ({ input, number, torch }) => {
    const [x, weight, dy] = [input("x"), input("weight"), input("dy")]
    const [dx = 0, dw = 0] = rmsNormGrad(
      torch,
      torch.compute(x),
      torch.compute(weight),
      torch.compute(dy),
      number("eps")
    )
    return [
      { handle: dx, shape: x.shape, dtype: "float32" },
      { handle: dw, shape: weight.shape, dtype: "float32" }
    ]
  }),
  single("SrRope", ({ flag, input, torch }) => {
    const x = input("x")
    const [positions, cos, sin] = [
      torch.input(input("positions")),
      torch.input(input("cos")),
      torch.input(input("sin"))
    ]
    return {
      handle: rope(torch, torch.compute(x), positions, cos, sin, flag("inverse")),
      shape: x.shape,
      dtype: "float32"
    }
  }),
  single("SrSwiGlu", ({ input, torch }) => {
    const gate = input("gate")
    const handle = swiGlu(torch, torch.compute(gate), torch.compute(input("up")))
    return { handle, shape: gate.shape, dtype: "float32" }
  }),
  several("SrSwiGluGrad", ({ input, torch }) => {
    const [gate, up, dy] = [input("gate"), input("up"), input("dy")]
    return swiGluGrad(torch, torch.compute(gate), torch.compute(up), torch.compute(dy)).map((handle): Made => ({
      handle,
      shape: gate.shape,
      dtype: "float32"
    }))
  }),
  single("SrPagedAttention", ({ input, number, torch }) => {
    const q = input("q")
    const handle = pagedAttention(
      torch,
      torch.compute(q),
      torch.cache(input("kPool")),
      torch.cache(input("vPool")),
      torch.input(input("blockTable")),
      torch.input(input("tokenSeq")),
      torch.input(input("tokenPos")),
      number("scale")
    )
    return { handle, shape: q.shape, dtype: "float32" }
  }),
  effect("SrKvAppend", ({ input, torch }) => {
    const pools = [torch.cache(input("kPool")), torch.cache(input("vPool"))] as const
    kvAppend(torch, ...pools, torch.compute(input("k")), torch.compute(input("v")), torch.input(input("slots")))
  }),
  tokenLogProb,
  tokenLogProbGrad,
  single("SrEmbeddingGrad", ({ input, number, torch }) => {
    const dy = input("dy")
    const vocabulary = number("vocab")
    const handle = embeddingGrad(torch, torch.input(input("ids")), torch.compute(dy), vocabulary)
    return { handle, shape: [vocabulary, ...dy.shape.slice(1)], dtype: "float32" }
  }),
  effect("SrAdamW", ({ input, number, torch }) => {
    const [param, m, v] = [torch.master(input("param")), torch.master(input("m")), torch.master(input("v"))]
    adamW(
      torch,
      param.handle,
      param.low === 0 ? null : param.low,
      m.handle,
      v.handle,
      torch.input(input("grad")),
      ...["lr", "beta1", "beta2", "eps", "weightDecay", "step", "gradScale"].map((name) => number(name))
    )
  }),
  single("SrSumSquares", ({ input, torch }) => ({
    handle: sumSquares(torch, torch.input(input("x"))),
    shape: [],
    dtype: "float32"
  })),
  several("SrSample", ({ input, torch }) => {
    const logits = input("logits")
    const shape = logits.shape.slice(0, 1)
    const rows = ["temperature", "topK", "topP", "uniform"].map((name) => torch.input(input(name)))
    const [ids = 0, drawn = 0, model = 0] = sample(torch, torch.input(logits), ...rows)
    return [
      { handle: ids, shape, dtype: "int32" },
      { handle: drawn, shape, dtype: "float32" },
      { handle: model, shape, dtype: "float32" }
    ]
  })
]
