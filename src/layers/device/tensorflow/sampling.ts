/**
 * Drawing tokens with TensorFlow's operations.
 *
 * @since 0.1.0
 */
import { kernel } from "./kernel.ts"
import type { Handle, Program } from "./Program.ts"

/** `x [S, V]` at the columns `ids [S]`, `[S]`. */
const at = (program: Program, x: Handle, ids: Handle): Handle =>
  program.reshape(program.gather(x, program.reshape(ids, [-1, 1]), 1, 1), [-1])

const column = (program: Program, x: Handle): Handle => program.reshape(x, [-1, 1])

/** How many values of each row come before the first one above its bound; there is always one that has a share of its own. */
const firstAbove = (program: Program, cumulated: Handle, last: Handle, bound: Handle): Handle =>
  program.binary(
    "Minimum",
    program.count(program.binary("LessEqual", cumulated, bound)),
    program.count(program.binary("Less", cumulated, last))
  )

const lastColumn = (program: Program, x: Handle): Handle => program.gather(x, program.ints([(x.shape[1] ?? 1) - 1]), 1)

/**
 * The first column whose cumulated probability exceeds `uniform` times the total, and the total `[S, 1]`. Sums over blocks
 * of columns find the block, sums in the block the column: TensorFlow's cumulated sums are slow.
 */
const draw = (
  program: Program,
  probabilities: Handle,
  uniform: Handle
): { readonly drawn: Handle; readonly total: Handle } => {
  const vocabulary = probabilities.shape[1] ?? 0
  const size = 2 ** Math.ceil(Math.log2(Math.sqrt(vocabulary)))
  const blocks = Math.ceil(vocabulary / size)
  const surplus = blocks * size - vocabulary
  const padding = program.reshape(program.ints([0, 0, 0, surplus]), [2, 2])
  const padded = surplus === 0
    ? probabilities
    : program.run("Pad", [probabilities, padding], program.type("Tpaddings", padding.dtype))
  const byBlock = program.reshape(padded, [-1, blocks, size])
  const sums = program.reduce("Sum", byBlock, [2], false)
  const until = program.cumsum(sums, 1, false)
  const total = lastColumn(program, until)
  const bound = program.binary("Mul", total, column(program, uniform))
  const block = firstAbove(program, until, total, bound)
  const before = at(program, program.cumsum(sums, 1, true), block)
  const own = program.reshape(program.gather(byBlock, column(program, block), 1, 1), [-1, size])
  const within = program.binary("AddV2", program.cumsum(own, 1, false), column(program, before))
  const offset = firstAbove(program, within, lastColumn(program, within), bound)
  const drawn = program.binary("AddV2", program.binary("Mul", block, program.int(size)), offset)
  return { drawn: program.binary("Minimum", drawn, program.int(vocabulary - 1)), total }
}

/** The probability that a token must have to stay, `[S, 1]`: the larger of what top-k and top-p ask for. */
const threshold = (program: Program, probabilities: Handle, topK: Handle, topP: Handle): Handle => {
  const vocabulary = probabilities.shape[1] ?? 0
  const [sorted = probabilities] = program.all(
    "TopKV2",
    [probabilities, program.int(vocabulary)],
    [program.flag("sorted", true), program.type("T", probabilities.dtype)],
    2
  )
  const { int, scalar } = { int: program.int(vocabulary), scalar: program.scalar(1) }
  const ranks = program.ints(Array.from({ length: vocabulary }, (_, rank) => rank))
  const unlimited = program.binary("LessEqual", topK, program.int(0))
  const limit = column(program, program.select(unlimited, int, topK))
  const whole = program.binary("GreaterEqual", topP, scalar)
  const least = program.reduce("Min", program.select(program.binary("Less", ranks, limit), sorted, scalar), [1], true)
  const likely = program.binary("GreaterEqual", sorted, least)
  const likelyMass = program.reduce("Sum", program.select(likely, sorted, program.scalar(0)), [1], true)
  const share = column(program, program.select(whole, program.scalar(2), topP))
  const within = program.binary("Less", program.cumsum(sorted, 1, true), program.binary("Mul", likelyMass, share))
  const kept = program.bare(
    "LogicalAnd",
    [likely, program.bare("LogicalOr", [within, program.binary("Less", ranks, program.int(1))])]
  )
  return program.reduce("Min", program.select(kept, sorted, scalar), [1], true)
}

/**
 * `SrSample`: `logits [S, V]` and each row's `temperature`, `topK`, `topP` and `uniform` to ids and both log-probabilities.
 *
 * @category constants
 * @since 0.1.0
 */
export const sample = kernel("SrSample", ({ flag, input, program }) => {
  const [logits, temperature] = [input("logits"), input("temperature")]
  const logProbs = program.unary("LogSoftmax", logits)
  const isGreedy = program.binary("LessEqual", temperature, program.scalar(0))
  const divisor = column(program, program.select(isGreedy, program.scalar(1), temperature))
  const plain = flag("tempered")
    ? program.unary("Softmax", program.binary("RealDiv", logits, divisor))
    : program.unary("Exp", logProbs)
  const probabilities = flag("truncated")
    ? program.binary(
      "Mul",
      plain,
      program.cast(
        program.binary("GreaterEqual", plain, threshold(program, plain, input("topK"), input("topP"))),
        "float32"
      )
    )
    : plain
  const { drawn, total } = draw(program, probabilities, input("uniform"))
  const ids = flag("greedy")
    ? program.select(
      isGreedy,
      program.run(
        "ArgMax",
        [logits, program.int(1)],
        program.type("Tidx", drawn.dtype),
        program.type("output_type", drawn.dtype)
      ),
      drawn
    )
    : drawn
  const modelLogProb = at(program, logProbs, ids)
  if (!flag("tempered") && !flag("truncated") && !flag("greedy")) {
    return [ids, program.unary("Identity", modelLogProb), modelLogProb]
  }
  const share = program.binary("RealDiv", at(program, probabilities, ids), program.reshape(total, [-1]))
  const logProb = program.unary("Log", share)
  return [ids, flag("greedy") ? program.select(isGreedy, program.scalar(0), logProb) : logProb, modelLogProb]
})
