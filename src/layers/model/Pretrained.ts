/**
 * A model with the tokenizer that belongs to it.
 *
 * @since 0.1.0
 */
import { Effect, type FileSystem, Layer, type Path } from "effect"
import { Tokenizer } from "../../services/Tokenizer.ts"
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
 * Opens the model at `path` and its tokenizer, and checks that they belong together. A text ends with what either of them
 * says ends one.
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
  const { config } = weights
  const tokenizer = yield* TokenizerFolder.make(path)
  yield* Effect.fromResult(checkVocabulary(tokenizer, config, path))
  return {
    weights,
    tokenizer: { ...tokenizer, endOfText: [...new Set([...tokenizer.endOfText, ...config.eosTokenIds])] }
  }
})

/**
 * The tokenizer of the model at `path`, for a thread that has not the model's weights. It can be built while another
 * thread loads them.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerTokenizer = (
  path: string
): Layer.Layer<
  Tokenizer,
  ModelLoadError | TokenizerError | VocabularyMismatch,
  FileSystem.FileSystem | Path.Path
> => Layer.effect(Tokenizer, Effect.map(open(path), ({ tokenizer }) => tokenizer))
