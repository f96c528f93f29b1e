/**
 * Attention over the blocked cache on a card: our own kernel where every sequence has one new token, flash attention over
 * gathered keys and values where prompts are read.
 *
 * @since 0.1.0
 */
import type { Stored, TorchBackend } from "../backend.ts"
import { operator, unaryResult } from "../operators.ts"
import { type Call, single, type TorchKernel } from "./define.ts"

const pagedAttention = unaryResult("search_r1::paged_attention")
const flash = operator("aten::_flash_attention_forward")
const indexSelect = unaryResult("aten::index_select")
const narrow = unaryResult("aten::narrow")
const contiguous = unaryResult("aten::contiguous")

/** Where the keys of each run of new tokens lie. The card's copy is `[query ends | key ends | slots]` in one tensor. */
interface Runs {
  readonly count: number
  readonly slots: number
  readonly longestQuery: number
  readonly longestKey: number
}

const known = new WeakMap<Stored, Runs | undefined>()

/** Neighbouring tokens of one sequence; undefined where there is no run longer than one, or nothing is known. */
const findRuns = (
  torch: TorchBackend,
  layout: { readonly pos: Stored; readonly seq: Stored; readonly table: Stored },
  blockSize: number
): Runs | undefined => {
  const { pos, seq, table } = layout
  const [positions, sequences, blocks] = [pos.host, seq.host, table.host]
  if (positions === undefined || sequences === undefined || blocks === undefined) return undefined
  const maxBlocks = table.shape[1] ?? 1
  const queryEnds = [0]
  const keyEnds = [0]
  const slots: Array<number> = []
  let [longestQuery, longestKey] = [0, 0]
  for (let begin = 0; begin < sequences.length;) {
    const sequence = sequences[begin] ?? 0
    let end = begin + 1
    while (end < sequences.length && sequences[end] === sequence) end++
    const length = (positions[end - 1] ?? 0) + 1
    for (let p = 0; p < length; p++) {
      slots.push((blocks[sequence * maxBlocks + Math.floor(p / blockSize)] ?? 0) * blockSize + p % blockSize)
    }
    queryEnds.push(end)
    keyEnds.push(slots.length)
    longestQuery = Math.max(longestQuery, end - begin)
    longestKey = Math.max(longestKey, length)
    begin = end
  }
  if (longestQuery === 1) return undefined
  const all = Int32Array.from([queryEnds, keyEnds, slots].flat())
  pos.extra = torch.guard(() => torch.addon.fromData(all, [all.length]))
  torch.addon.keep(pos.extra)
  return { count: queryEnds.length, slots: slots.length, longestQuery, longestKey }
}

const readPrompts = (
  call: Call,
  { count, longestKey, longestQuery, slots }: Runs,
  layout: number,
  pools: ReadonlyArray<number>
): number => {
  const { input, number, torch } = call
  const [blocks = 0, blockSize = 0, kv = 0, dim = 0] = input("kPool").shape
  const where = narrow(torch, layout, 0, 2 * count, slots)
  const [keys = 0, values = 0] = pools.map((pool) =>
    indexSelect(torch, torch.addon.reshape(pool, [blocks * blockSize, kv, dim]), 0, where)
  )
  // Flash attention wants its lengths at the start of a buffer of their own.
  const ends = [0, count].map((begin) => contiguous(torch, narrow(torch, layout, 0, begin, count)))
  const results = flash(
    torch,
    contiguous(torch, torch.compute(input("q"))),
    keys,
    values,
    ...ends,
    longestQuery,
    longestKey,
    0,
    true,
    false,
    number("scale")
  )
  const out: unknown = Array.isArray(results) ? results[0] : undefined
  if (typeof out !== "number") throw new TypeError("flash attention gave no tensor")
  return out
}

/**
 * For bfloat16 on a card.
 *
 * @category constants
 * @since 0.1.0
 */
export const cardPagedAttention: TorchKernel = single("SrPagedAttention", (call) => {
  const { input, number, torch } = call
  const [q, kPool] = [input("q"), input("kPool")]
  const pools = [torch.cache(kPool), torch.cache(input("vPool"))]
  const [table, seq, pos] = [input("blockTable"), input("tokenSeq"), input("tokenPos")]
  const data = torch.stored(pos)
  if (!known.has(data)) {
    const layout = { pos: data, seq: torch.stored(seq), table: torch.stored(table) }
    known.set(data, findRuns(torch, layout, kPool.shape[1] ?? 1))
  }
  const runs = known.get(data)
  const handle = runs !== undefined && (q.shape[2] ?? 0) % 8 === 0
    ? readPrompts(call, runs, data.extra, pools)
    : pagedAttention(
      torch,
      torch.compute(q),
      ...pools,
      torch.input(table),
      torch.input(seq),
      torch.input(pos),
      number("scale")
    )
  return { handle, shape: q.shape, dtype: "float32" }
})
