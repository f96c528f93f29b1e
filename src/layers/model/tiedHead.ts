/**
 * An output head that a checkpoint holds although its configuration ties it to the embedding.
 *
 * @since 0.2.0
 */
import { Effect } from "effect"
import { ModelConfig } from "../../domain/ModelConfig.ts"
import { elements, embedding, outputHead, sameShape } from "../../domain/ModelTensors.ts"
import type { SafetensorsError, SafetensorsFile } from "./Safetensors.ts"
import { type TensorEntry, tensorTypes } from "./SafetensorsHeader.ts"

/**
 * A tensor and the open file that holds it.
 *
 * @category models
 * @since 0.2.0
 */
export interface Located {
  readonly file: SafetensorsFile
  readonly entry: TensorEntry
}

/** Numbers compared at once. */
const chunkNumbers = 4 * 1024 * 1024

const readable = ({ entry }: Located): boolean => tensorTypes.some((type) => type === entry.type)

/** Whether two tensors hold the same numbers, whatever format each is in. Ends at the first that differ. */
const sameNumbers = Effect.fnUntraced(function*(a: Located, b: Located) {
  const total = elements(a.entry.shape)
  for (let first = 0; first < total; first += chunkNumbers) {
    const numbers = { first, count: Math.min(chunkNumbers, total - first) }
    const left = yield* a.file.read(a.entry, numbers)
    const right = yield* b.file.read(b.entry, numbers)
    // NaN equals NaN here: a broken copy is a copy
    if (left.some((value, i) => value !== right[i] && !(Number.isNaN(value) && Number.isNaN(right[i])))) return false
  }
  return true
})

/**
 * The configuration by which the weights of a checkpoint are to be read. A tied head that differs from the embedding in
 * shape or in any number is the head of the model, as transformers 5 has it (versions before, and vLLM, drop it): the
 * answer is untied then, and `kept` is that head. A copy of the embedding is no head of its own. Fails where the file
 * ends early.
 *
 * @category conversions
 * @since 0.2.0
 */
export const resolve = Effect.fn("TiedHead.resolve")(function*(
  config: ModelConfig,
  tensors: ReadonlyMap<string, Located>
): Effect.fn.Return<{ readonly config: ModelConfig; readonly kept: Located | undefined }, SafetensorsError> {
  const tied = { config, kept: undefined }
  if (!config.tieWordEmbeddings) return tied
  const head = tensors.get(outputHead)
  const source = tensors.get(embedding)
  if (head === undefined || source === undefined) return tied
  // what cannot be compared is no copy, and the check of the untied model's tensors names what is wrong with it
  const comparable = readable(head) && readable(source) && sameShape(head.entry.shape, source.entry.shape)
  if (comparable && (yield* sameNumbers(head, source))) return tied
  return { config: new ModelConfig({ ...config, tieWordEmbeddings: false }), kept: head }
})
