/**
 * Gradients and log-probabilities with TensorFlow's operations, in as few passes over memory as these allow.
 *
 * @since 0.1.0
 */
import { kernel } from "./kernel.ts"
import type { Handle, Program } from "./Program.ts"

/**
 * With `u = dy ⊙ x` and `i` the inverse root of the mean square: `dx = i (dy ⊙ w) - x i³ (u · w) / D` and `dw = uᵀ i`.
 *
 * @category constants
 * @since 0.1.0
 */
export const rmsNormGrad = kernel("SrRmsNormGrad", ({ input, number, program }) => {
  const [x, weight, dy] = [input("x"), input("weight"), input("dy")]
  const [dim = 1] = weight.shape
  const { binary, unary } = operations(program)
  const mean = program.reduce("Mean", unary("Square", x), [-1], true)
  const inverse = unary("Rsqrt", binary("AddV2", mean, program.scalar(number("eps"))))
  const u = binary("Mul", dy, x)
  const along = program.matMul(u, program.reshape(weight, [-1, 1]), false, false)
  const cubed = binary("Mul", inverse, unary("Square", inverse))
  const back = binary("Mul", along, binary("Mul", cubed, program.scalar(1 / dim)))
  const dx = binary("Sub", binary("Mul", binary("Mul", dy, weight), inverse), binary("Mul", x, back))
  return [dx, program.reshape(program.matMul(u, inverse, true, false), [-1])]
})

const operations = (program: Program) => ({
  unary: (op: string, x: Handle) => program.unary(op, x),
  binary: (op: string, x: Handle, y: Handle) => program.binary(op, x, y)
})

/**
 * With `s = sigmoid(gate)`: `dgate = dy up s (1 + gate - gate s)` and `dup = dy gate s`.
 *
 * @category constants
 * @since 0.1.0
 */
export const swiGluGrad = kernel("SrSwiGluGrad", ({ input, program }) => {
  const [gate, up, dy] = [input("gate"), input("up"), input("dy")]
  const { binary, unary } = operations(program)
  const sigmoid = unary("Sigmoid", gate)
  const silu = binary("Mul", gate, sigmoid)
  const slope = binary("AddV2", sigmoid, binary("Mul", sigmoid, binary("Sub", gate, silu)))
  return [binary("Mul", binary("Mul", dy, up), slope), binary("Mul", dy, silu)]
})

/**
 * @category constants
 * @since 0.1.0
 */
export const sumSquares = kernel("SrSumSquares", ({ input, program }) => [
  program.binary("Mul", program.unary("L2Loss", input("x")), program.scalar(2))
])

/**
 * @category constants
 * @since 0.1.0
 */
export const embeddingGrad = kernel("SrEmbeddingGrad", ({ input, number, program }) => [
  segmentSum(program, input("dy"), input("ids"), number("vocab"))
])

const segmentSum = (program: Program, x: Handle, ids: Handle, segments: number): Handle => {
  const count = program.int(segments)
  return program.run(
    "UnsortedSegmentSum",
    [x, ids, count],
    program.type("Tindices", ids.dtype),
    program.type("Tnumsegments", count.dtype)
  )
}

/** Logits that a kernel holds at once: 64 MB. */
const tileElements = 1 << 24

/** Rows of all inputs in parts whose logits fit. */
const tiles = (
  program: Program,
  vocabulary: number,
  all: ReadonlyArray<Handle>
): ReadonlyArray<ReadonlyArray<Handle>> => {
  const [tokens = 0] = all[0]?.shape ?? []
  const size = Math.max(1, Math.floor(tileElements / vocabulary))
  if (tokens <= size) return [all]
  return Array.from({ length: Math.ceil(tokens / size) }, (_, tile) =>
    all.map((x) => {
      const begin = program.ints(x.shape.map((_, axis) => axis === 0 ? tile * size : 0))
      const extent = program.ints(x.shape.map((_, axis) => axis === 0 ? Math.min(size, tokens - tile * size) : -1))
      return program.run("Slice", [x, begin, extent], program.type("Index", begin.dtype))
    }))
}

const first = (parts: ReadonlyArray<Handle>): Handle => {
  const [part] = parts
  if (part === undefined) throw new RangeError("there is no token")
  return part
}

const joined = (program: Program, parts: ReadonlyArray<Handle>): Handle =>
  parts.length === 1 ? first(parts) : program.concat(parts, 0)

const logitsOf = (program: Program, hidden: Handle, head: Handle, temperature: number): Handle => {
  const logits = program.matMul(hidden, head, false, true)
  return temperature === 1 ? logits : program.binary("Mul", logits, program.scalar(1 / temperature))
}

const column = (program: Program, x: Handle): Handle => program.reshape(x, [-1, 1])

/**
 * Log-probability of the target, entropy, and the logarithm of the softmax's denominator, each `[T]`.
 *
 * @category constants
 * @since 0.1.0
 */
export const tokenLogProb = kernel("SrTokenLogProb", ({ input, number, program }) => {
  const head = input("head")
  const parts = tiles(program, head.shape[0] ?? 1, [input("hidden"), input("targets")]).map((tile) => {
    const [hidden, targets] = [first(tile), first(tile.slice(1))]
    const logits = logitsOf(program, hidden, head, number("temperature"))
    const logProbs = program.unary("LogSoftmax", logits)
    const at = (x: Handle) => program.reshape(program.gather(x, column(program, targets), 1, 1), [-1])
    const logProb = at(logProbs)
    const products = program.binary("Mul", program.unary("Exp", logProbs), logProbs)
    const entropy = program.unary("Neg", program.reduce("Sum", products, [1], false))
    return [logProb, entropy, program.binary("Sub", at(logits), logProb)]
  })
  return [0, 1, 2].map((i) => joined(program, parts.map((part) => first(part.slice(i)))))
})

/**
 * The target's part of the gradient needs no vocabulary: it is a row of the head for the hidden states and a sum by target
 * for the head.
 *
 * @category constants
 * @since 0.1.0
 */
export const tokenLogProbGrad = kernel("SrTokenLogProbGrad", ({ flag, input, number, program }) => {
  const [head, temperature] = [input("head"), number("temperature")]
  const [vocabulary = 1] = head.shape
  const { binary, unary } = operations(program)
  const given = ["hidden", "targets", "lse", "dLogProb", "entropy", "dEntropy"].map(input)
  const parts = tiles(program, vocabulary, given).map((tile) => {
    const [hidden, targets, lse, dLogProb, entropy, dEntropy] = [0, 1, 2, 3, 4, 5].map((i) => first(tile.slice(i)))
    if (
      hidden === undefined || targets === undefined || lse === undefined || dLogProb === undefined ||
      entropy === undefined || dEntropy === undefined
    ) throw new RangeError("an input is missing")
    const logProbs = binary("Sub", logitsOf(program, hidden, head, temperature), column(program, lse))
    const probabilities = unary("Exp", logProbs)
    const scale = program.scalar(1 / temperature)
    const dTarget = column(program, temperature === 1 ? dLogProb : binary("Mul", dLogProb, scale))
    const ofTarget = binary("Mul", program.gather(head, targets), dTarget)
    const targetRows = binary("Mul", hidden, dTarget)
    const sums = segmentSum(program, targetRows, targets, vocabulary)
    if (flag("withEntropy")) {
      const spread = binary("Mul", column(program, dEntropy), binary("AddV2", logProbs, column(program, entropy)))
      const weight = binary("AddV2", column(program, dLogProb), spread)
      const product = binary("Mul", probabilities, weight)
      const dLogits = temperature === 1 ? product : binary("Mul", product, scale)
      return [
        binary("Sub", ofTarget, program.matMul(dLogits, head, false, false)),
        binary("Sub", sums, program.matMul(dLogits, hidden, true, false))
      ]
    }
    const mean = program.matMul(probabilities, head, false, false)
    return [
      binary("Sub", ofTarget, binary("Mul", mean, dTarget)),
      binary("Sub", sums, program.matMul(probabilities, targetRows, true, false))
    ]
  })
  const heads = parts.map((part) => first(part.slice(1)))
  return [
    joined(program, parts.map(first)),
    heads.length === 1
      ? first(heads)
      : program.run("AddN", heads, program.whole("N", heads.length))
  ]
})
