/**
 * Whether a tokenizer belongs to a model.
 *
 * @since 0.1.0
 */
import { Result, Schema } from "effect"
import type { ModelConfig } from "../../domain/ModelConfig.ts"
import type { Tokenizer } from "../../services/Tokenizer.ts"

/**
 * The ids of a tokenizer and of a model differ.
 *
 * @category errors
 * @since 0.1.0
 */
export class VocabularyMismatch extends Schema.TaggedError<VocabularyMismatch>()("VocabularyMismatch", {
  /** The model's folder or file. */
  path: Schema.String,
  tokenizerSize: Schema.Natural,
  modelSize: Schema.Natural,
  reason: Schema.String
}) {
  override get message() {
    return `${this.path}: the tokenizer (${this.tokenizerSize} ids) does not belong to the model (${this.modelSize} ids): ${this.reason}. Take the tokenizer's files from where the weights are from`
  }
}

/**
 * Whether a model has so few ids more than its tokenizer that they are the padding of its embedding: up to the next round
 * size, which for large vocabularies means up to a percent.
 */
const isPadded = (modelSize: number, tokenizerSize: number): boolean =>
  modelSize % 8 === 0 && modelSize - tokenizerSize < Math.max(64, Math.ceil(modelSize / 100))

const listed = (ids: ReadonlyArray<number>): string =>
  ids.length > 5 ? `${ids.slice(0, 5).join(", ")} and ${ids.length - 5} more` : ids.join(", ")

/**
 * Fails where a tokenizer has an id that the model has no embedding for, where it lacks one that the model uses by name
 * (end, begin, padding), where it has no token for an id below its greatest, or where the model has ids beyond the
 * tokenizer's that a padded embedding does not explain.
 *
 * @category predicates
 * @since 0.1.0
 */
export const checkVocabulary = (
  tokenizer: Tokenizer["Service"],
  config: ModelConfig,
  path = "model"
): Result.Result<void, VocabularyMismatch> => {
  const tokenizerSize = tokenizer.vocabularySize
  const modelSize = config.vocabularySize
  const refuse = (reason: string) => Result.fail(new VocabularyMismatch({ path, tokenizerSize, modelSize, reason }))
  if (tokenizerSize > modelSize) {
    return refuse(`the id ${tokenizerSize - 1} of the tokenizer has no embedding in the model`)
  }
  const named: ReadonlyArray<readonly [string, ReadonlyArray<number>]> = [
    ["eos_token_id", config.eosTokenIds],
    ["bos_token_id", config.bosTokenIds],
    ["pad_token_id", config.padTokenId === null ? [] : [config.padTokenId]]
  ]
  for (const [key, ids] of named) {
    for (const id of ids) {
      if (id >= modelSize) return refuse(`the model's ${key} ${id} is beyond its own ids`)
      if (tokenizer.decode(Int32Array.of(id)) === "\uFFFD") {
        return refuse(`the tokenizer lacks the model's ${key} ${id}`)
      }
    }
  }
  const unused = tokenizer.unusedIds ?? []
  if (unused.length > 0) return refuse(`the tokenizer lacks the id${unused.length === 1 ? "" : "s"} ${listed(unused)}`)
  if (modelSize === tokenizerSize || isPadded(modelSize, tokenizerSize)) return Result.succeed(undefined)
  return refuse(
    modelSize === tokenizerSize + 1
      ? `the tokenizer lacks the id ${tokenizerSize} of the model`
      : `the tokenizer lacks the ids ${tokenizerSize} to ${modelSize - 1} of the model`
  )
}
