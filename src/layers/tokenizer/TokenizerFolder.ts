/**
 * The tokenizer of a model's folder, whatever its format.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, Layer, Path } from "effect"
import { Tokenizer } from "../../services/Tokenizer.ts"
import { locate } from "../model/location.ts"
import { fromPlatform, type TokenizerError, TokenizerFileMissing } from "./TokenizerErrors.ts"
import * as TokenizerJson from "./TokenizerJson.ts"
import * as TokenizerLlama2c from "./TokenizerLlama2c.ts"
import * as TokenizerTiktoken from "./TokenizerTiktoken.ts"

/**
 * Makes the tokenizer of a folder: its `tokenizer.json`, else the one file that ends in `.tiktoken` (read with Qwen's
 * settings), else the one of llama2.c whose name is `tok….bin`. For a llama2.c model file, the folder that it is in.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fn("TokenizerFolder.make")(function*(
  model: string
): Effect.fn.Return<Tokenizer["Service"], TokenizerError, FileSystem.FileSystem | Path.Path> {
  const fs = yield* FileSystem.FileSystem
  const { dirname, join } = yield* Path.Path
  const path = yield* locate(model)
  const info = yield* fs.stat(path).pipe(Effect.mapError(fromPlatform(path)))
  const directory = info.type === "Directory" ? path : dirname(path)
  const names = yield* fs.readDirectory(directory).pipe(Effect.mapError(fromPlatform(directory)))
  if (names.includes("tokenizer.json")) return yield* TokenizerJson.make({ directory })
  const only = (pattern: RegExp) => {
    const found = names.filter((name) => pattern.test(name))
    return found.length === 1 ? found[0] : undefined
  }
  const ranks = only(/\.tiktoken$/u)
  if (ranks !== undefined) return yield* TokenizerTiktoken.make({ path: join(directory, ranks) })
  const pieces = only(/^tok.*\.bin$/u)
  if (pieces !== undefined) return yield* TokenizerLlama2c.make(join(directory, pieces))
  return yield* new TokenizerFileMissing({
    path: directory,
    reason: "there is no tokenizer in it; expected tokenizer.json, one *.tiktoken or one tok*.bin"
  })
})

/**
 * The tokenizer of a folder.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  path: string
): Layer.Layer<Tokenizer, TokenizerError, FileSystem.FileSystem | Path.Path> => Layer.effect(Tokenizer, make(path))
