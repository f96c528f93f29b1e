/**
 * Attention over packed sequences: our own operator on a processor, PyTorch's flash attention on a card.
 *
 * @since 0.1.0
 */
import { scalarType } from "../addon.ts"
import type { TorchBackend } from "../backend.ts"
import { listResult, operator, unaryResult } from "../operators.ts"
import { type Call, several, type TorchKernel } from "./define.ts"

const attention = listResult("search_r1::attention")
const attentionGrad = listResult("search_r1::attention_grad")
const flash = operator("aten::_flash_attention_forward")
const flashGrad = operator("aten::_flash_attention_backward")
const pad = unaryResult("aten::constant_pad_nd")
const narrow = unaryResult("aten::narrow")
const transpose = unaryResult("aten::t")
const contiguous = unaryResult("aten::contiguous")
const zeros = unaryResult("aten::zeros")

/** On the processor. */
export const processorAttention: ReadonlyArray<TorchKernel> = [
  several("SrAttention", ({ input, number, torch }) => {
    const [q, k, v] = [input("q"), input("k"), input("v")]
    const [out = 0, lse = 0] = attention(
      torch,
      torch.compute(q),
      torch.compute(k),
      torch.compute(v),
      [...torch.integers(input("cuSeqlens"))],
      number("scale")
    )
    return [
      { handle: out, shape: q.shape, dtype: "float32" },
      { handle: lse, shape: q.shape.slice(0, 2), dtype: "float32" }
    ]
  }),
  several("SrAttentionGrad", ({ input, number, torch }) => {
    const [q, k, v] = [input("q"), input("k"), input("v")]
    const [dq = 0, dk = 0, dv = 0] = attentionGrad(
      torch,
      torch.compute(q),
      torch.compute(k),
      torch.compute(v),
      torch.compute(input("out")),
      torch.input(input("lse")),
      torch.compute(input("dout")),
      [...torch.integers(input("cuSeqlens"))],
      number("scale")
    )
    return [
      { handle: dq, shape: q.shape, dtype: "float32" },
      { handle: dk, shape: k.shape, dtype: "float32" },
      { handle: dv, shape: v.shape, dtype: "float32" }
    ]
  })
]

const longest = (cuSeqlens: Int32Array): number => {
  let most = 0
  for (let i = 0; i + 1 < cuSeqlens.length; i++) most = Math.max(most, (cuSeqlens[i + 1] ?? 0) - (cuSeqlens[i] ?? 0))
  return most
}

/** Flash attention wants head sizes in eights: fills the rest with zeros, which change no score. */
const padded = (torch: TorchBackend, x: number, dim: number): number =>
  dim % 8 === 0 ? contiguous(torch, x) : pad(torch, x, [0, 8 - dim % 8])

const cut = (torch: TorchBackend, x: number, dim: number): number => dim % 8 === 0 ? x : narrow(torch, x, 2, 0, dim)

const handles = (results: unknown): ReadonlyArray<number> =>
  Array.isArray(results) ? results.map((x: unknown) => typeof x === "number" ? x : 0) : []

const sequences = ({ input, torch }: Call) => {
  const cuSeqlens = input("cuSeqlens")
  const most = longest(torch.integers(cuSeqlens))
  const ends = torch.input(cuSeqlens)
  return [ends, ends, most, most] as const
}

/** On a card, in bfloat16. */
export const cardAttention: ReadonlyArray<TorchKernel> = [
  several("SrAttention", (call) => {
    const { input, number, torch } = call
    const q = input("q")
    const dim = q.shape[2] ?? 0
    const [query = 0, key = 0, value = 0] = ["q", "k", "v"].map((name) =>
      padded(torch, torch.compute(input(name)), dim)
    )
    const lengths = sequences(call)
    const [out = 0, lse = 0] = handles(flash(torch, query, key, value, ...lengths, 0, true, false, number("scale")))
    return [
      { handle: cut(torch, out, dim), shape: q.shape, dtype: "float32" },
      { handle: transpose(torch, lse), shape: q.shape.slice(0, 2), dtype: "float32" }
    ]
  }),
  several("SrAttentionGrad", (call) => {
    const { input, number, torch } = call
    const [q, k, v] = [input("q"), input("k"), input("v")]
    const dim = q.shape[2] ?? 0
    const [dout = 0, query = 0, key = 0, value = 0, out = 0] = ["dout", "q", "k", "v", "out"].map((name) =>
      padded(torch, torch.compute(input(name)), dim)
    )
    const lse = contiguous(torch, transpose(torch, torch.input(input("lse"))))
    const unused = zeros(torch, [2], scalarType.int64, null, torch.device)
    const gradients = handles(
      flashGrad(
        torch,
        dout,
        query,
        key,
        value,
        out,
        lse,
        ...sequences(call),
        0,
        true,
        unused,
        unused,
        number("scale")
      )
    )
    return [q, k, v].map((x, i) => ({
      handle: cut(torch, gradients[i] ?? 0, dim),
      shape: x.shape,
      dtype: "float32"
    }))
  })
]
