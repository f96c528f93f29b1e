/**
 * Causal attention over sequences as rows of equal length, with TensorFlow's operations.
 *
 * @since 0.1.0
 */
import { type Call, kernel } from "./kernel.ts"
import type { Handle, Program } from "./Program.ts"

/** Sequences as rows: `[n, L]`, taken from `pad`, and how many query heads share a key head. */
interface Rows {
  readonly program: Program
  readonly pad: Handle
  /** Absent where rows need no padding. */
  readonly unpad: Handle | undefined
  /** The numbers of sequences and of positions, int32 `[2]`. */
  readonly sizes: Handle
  readonly kv: number
  readonly group: number
  readonly dim: number
}

const rowsOf = ({ has, input, program }: Call): Rows => {
  const pad = input("pad")
  const [, heads = 1, dim = 0] = input("q").shape
  const [, kv = 1] = input("k").shape
  const unpad = has("unpad") ? input("unpad") : undefined
  return { program, pad, unpad, sizes: program.shape(pad), kv, group: heads / kv, dim }
}

const shaped = ({ program, sizes }: Rows, x: Handle, ...own: ReadonlyArray<number>): Handle =>
  program.reshapeTo(x, program.concat([sizes, program.ints(own)], 0))

/** `[T, KV group, D]` to `[n, KV, group L, D]` */
const toHeads = (rows: Rows, x: Handle, group: number): Handle => {
  const { dim, kv, pad, program, unpad } = rows
  const padded = unpad === undefined ? x : program.gather(x, pad)
  if (group === 1) return program.transpose(shaped(rows, padded, kv, dim), [0, 2, 1, 3])
  const split = program.transpose(shaped(rows, padded, kv, group, dim), [0, 2, 3, 1, 4])
  return program.reshapeTo(split, joined(rows, [kv, -1, dim]))
}

/** The number of sequences with other sizes behind it. */
const joined = ({ program, sizes }: Rows, others: ReadonlyArray<number>): Handle =>
  program.concat([program.gather(sizes, program.ints([0])), program.ints(others)], 0)

/** `[n, KV, group L, D]` to `[T, KV group, D]` */
const fromHeads = (rows: Rows, x: Handle, group: number): Handle => {
  const { dim, kv, program, unpad } = rows
  const byToken = group === 1
    ? program.transpose(x, [0, 2, 1, 3])
    : program.transpose(program.reshapeTo(x, joined(rows, [kv, group, -1, dim])), [0, 3, 1, 2, 4])
  const flat = program.reshape(byToken, [-1, kv * group, dim])
  return unpad === undefined ? flat : program.gather(flat, unpad)
}

/** The mask for all queries that share a key head: `[group L, L]`. */
const maskOf = ({ group, program }: Rows, mask: Handle): Handle =>
  group === 1
    ? mask
    : program.run("Tile", [mask, program.ints([group, 1])], program.type("Tmultiples", program.ints([1]).dtype))

/**
 * The output `[T, H, D]` and the attention weights `[n, KV, (H / KV) L, L]`.
 *
 * @category constants
 * @since 0.1.0
 */
export const rowAttention = kernel("SrRowAttention", (call) => {
  const { input, number, program } = call
  const rows = rowsOf(call)
  const q = toHeads(rows, program.binary("Mul", input("q"), program.scalar(number("scale"))), rows.group)
  const scores = program.matMul(q, toHeads(rows, input("k"), 1), false, true)
  const weights = program.unary("Softmax", program.binary("AddV2", scores, maskOf(rows, input("mask"))))
  const out = program.matMul(weights, toHeads(rows, input("v"), 1), false, false)
  return [fromHeads(rows, out, rows.group), weights]
})

/** Tokens' gradients as rows, 0 where a row has no token. */
const gradientRows = (rows: Rows, x: Handle): Handle => {
  const { group, kv, dim, program, unpad } = rows
  if (unpad === undefined) return toHeads(rows, x, group)
  const whole = program.concat([program.reduce("Prod", rows.sizes, [0], true), program.ints([kv * group, dim])], 0)
  const scattered = program.bare(
    "ScatterNd",
    [program.reshape(unpad, [-1, 1]), x, whole],
    program.type("T", x.dtype),
    program.type("Tindices", unpad.dtype)
  )
  return toHeads({ ...rows, unpad: undefined }, scattered, group)
}

/**
 * Gradients of queries, keys and values. The softmax's own part is `Σ dout · out` of each query.
 *
 * @category constants
 * @since 0.1.0
 */
export const rowAttentionGrad = kernel("SrRowAttentionGrad", (call) => {
  const { input, number, program } = call
  const rows = rowsOf(call)
  const { group } = rows
  const [weights, dout, scale] = [input("weights"), input("dout"), program.scalar(number("scale"))]
  const share = program.reduce("Sum", program.binary("Mul", dout, input("out")), [2], true)
  const dOut = gradientRows(rows, dout)
  const dWeights = program.matMul(dOut, toHeads(rows, input("v"), 1), false, true)
  const own = gradientRows({ ...rows, dim: 1 }, share)
  const dScores = program.binary("Mul", weights, program.binary("Sub", dWeights, own))
  const dq = program.matMul(dScores, toHeads(rows, input("k"), 1), false, false)
  const dk = program.matMul(dScores, toHeads(rows, input("q"), group), true, false)
  const dv = program.matMul(weights, dOut, true, false)
  return [
    program.binary("Mul", fromHeads(rows, dq, group), scale),
    program.binary("Mul", fromHeads(rows, dk, 1), scale),
    fromHeads(rows, dv, 1)
  ]
})
