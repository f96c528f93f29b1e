/**
 * The part of a mini-batch that a device holds at once: sequences laid end to end in flat arrays.
 *
 * @since 0.1.0
 */
import type { MiniBatch, TrainingSequence } from "./Batch.ts"

/**
 * `n` sequences end to end. Sequence `i` is `[sequenceOffsets[i], sequenceOffsets[i + 1])` of every per-token array;
 * these have the shape `[tokens]`. An optional array is there when all sequences have it.
 *
 * @category models
 * @since 0.1.0
 */
export interface PackedBatch {
  /** Shape `[n + 1]`. */
  readonly sequenceOffsets: Int32Array
  readonly ids: Int32Array
  readonly lossMask: Uint8Array
  readonly advantages: Float32Array
  readonly oldLogProbs: Float32Array
  readonly refLogProbs?: Float32Array
  readonly behaviourLogProbs?: Float32Array
  readonly valueMask?: Uint8Array
  readonly oldValues?: Float32Array
  readonly returns?: Float32Array
}

const floats = (
  sequences: ReadonlyArray<TrainingSequence>,
  offsets: Int32Array,
  total: number,
  field: "advantages" | "oldLogProbs" | "refLogProbs" | "behaviourLogProbs" | "oldValues" | "returns"
): Float32Array | undefined => {
  if (sequences.some((sequence) => sequence[field] === undefined)) return undefined
  const packed = new Float32Array(total)
  sequences.forEach((sequence, index) => packed.set(sequence[field] ?? [], offsets[index]))
  return packed
}

/**
 * Lays sequences end to end.
 *
 * @category constructors
 * @since 0.1.0
 */
export const pack = (sequences: ReadonlyArray<TrainingSequence>): PackedBatch => {
  const sequenceOffsets = new Int32Array(sequences.length + 1)
  let total = 0
  sequences.forEach((sequence, index) => {
    total += sequence.ids.length
    sequenceOffsets[index + 1] = total
  })
  const ids = new Int32Array(total)
  const lossMask = new Uint8Array(total)
  const valueMask = sequences.every((sequence) => sequence.valueMask !== undefined) ? new Uint8Array(total) : undefined
  sequences.forEach((sequence, index) => {
    const offset = sequenceOffsets[index]
    ids.set(sequence.ids, offset)
    lossMask.set(sequence.lossMask, offset)
    valueMask?.set(sequence.valueMask ?? [], offset)
  })
  const refLogProbs = floats(sequences, sequenceOffsets, total, "refLogProbs")
  const behaviourLogProbs = floats(sequences, sequenceOffsets, total, "behaviourLogProbs")
  const oldValues = floats(sequences, sequenceOffsets, total, "oldValues")
  const returns = floats(sequences, sequenceOffsets, total, "returns")
  return {
    sequenceOffsets,
    ids,
    lossMask,
    advantages: floats(sequences, sequenceOffsets, total, "advantages") ?? new Float32Array(total),
    oldLogProbs: floats(sequences, sequenceOffsets, total, "oldLogProbs") ?? new Float32Array(total),
    ...(refLogProbs !== undefined && { refLogProbs }),
    ...(behaviourLogProbs !== undefined && { behaviourLogProbs }),
    ...(valueMask !== undefined && { valueMask }),
    ...(oldValues !== undefined && { oldValues }),
    ...(returns !== undefined && { returns })
  }
}

/**
 * What a micro-batch may hold.
 *
 * @category models
 * @since 0.1.0
 */
export interface MicroBatchBudget {
  /** Tokens; a longer sequence gets a micro-batch of its own. */
  readonly maxTokens: number
  /** Sequences; unlimited unless told. */
  readonly maxSequences?: number | undefined
  /**
   * Whether a device pads each micro-batch to its longest sequence: sequences are then ordered by length, and the budget
   * counts padded tokens. Without it the order is kept.
   */
  readonly padded?: boolean | undefined
}

/**
 * Cuts the sequences of a mini-batch into micro-batches within a budget: every sequence is in exactly one, none is
 * empty, and the same input gives the same cut.
 *
 * @category combinators
 * @since 0.1.0
 */
export const split = (
  sequences: ReadonlyArray<TrainingSequence>,
  budget: MicroBatchBudget
): ReadonlyArray<ReadonlyArray<TrainingSequence>> => {
  const ordered = budget.padded === true ? sequences.toSorted((a, b) => a.ids.length - b.ids.length) : sequences
  const maxSequences = budget.maxSequences ?? Number.POSITIVE_INFINITY
  const parts: Array<Array<TrainingSequence>> = []
  let part: Array<TrainingSequence> = []
  let [tokens, longest] = [0, 0]
  for (const sequence of ordered) {
    const length = sequence.ids.length
    const cost = budget.padded === true ? Math.max(longest, length) * (part.length + 1) : tokens + length
    if (part.length > 0 && (cost > budget.maxTokens || part.length >= maxSequences)) {
      parts.push(part)
      part = []
      tokens = 0
      longest = 0
    }
    part.push(sequence)
    tokens += length
    longest = Math.max(longest, length)
  }
  if (part.length > 0) parts.push(part)
  return parts
}

/**
 * The packed micro-batches of a mini-batch.
 *
 * @category combinators
 * @since 0.1.0
 */
export const microBatches = (batch: MiniBatch, budget: MicroBatchBudget): ReadonlyArray<PackedBatch> =>
  split(batch.sequences, budget).map(pack)
