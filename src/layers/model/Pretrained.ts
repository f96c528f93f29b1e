/**
 * A model with the tokenizer that belongs to it.
 *
 * @since 0.1.0
 */
import { Effect, type FileSystem, type Path } from "effect"
import type { ModelConfig } from "../../domain/ModelConfig.ts"
import type { Tokenizer } from "../../services/Tokenizer.ts"
import { checkVocabulary, type VocabularyMismatch } from "../tokenizer/checkVocabulary.ts"
import type { TokenizerError } from "../tokenizer/TokenizerErrors.ts"
import * as TokenizerFolder from "../tokenizer/TokenizerFolder.ts"
import type { ModelLoadError } from "./ModelFileErrors.ts"
import * as Weights from "./Weights.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Pretrained {
  readonly weights: Weights.Weights
  readonly tokenizer: Tokenizer["Service"]
}

/**
 * The tokenizer beside a model that has been opened already. A text ends with what either of them says ends one.
 *
 * @category constructors
 * @since 0.1.0
 */
export const tokenizerOf = Effect.fn("Pretrained.tokenizerOf")(function*(
  path: string,
  config: ModelConfig
): Effect.fn.Return<
  Tokenizer["Service"],
  TokenizerError | VocabularyMismatch,
  FileSystem.FileSystem | Path.Path
> {
  const tokenizer = yield* TokenizerFolder.make(path)
  yield* Effect.fromResult(checkVocabulary(tokenizer, config, path))
  return { ...tokenizer, endOfText: [...new Set([...tokenizer.endOfText, ...config.eosTokenIds])] }
})

/**
 * Opens the model at `path` and its tokenizer, and checks that they belong together.
 *
 * @category constructors
 * @since 0.1.0
 */
export const open = Effect.fn("Pretrained.open")(function*(
  path: string
): Effect.fn.Return<
  Pretrained,
  ModelLoadError | TokenizerError | VocabularyMismatch,
  FileSystem.FileSystem | Path.Path
> {
  const weights = yield* Weights.read(path)
  return { weights, tokenizer: yield* tokenizerOf(path, weights.config) }
})
