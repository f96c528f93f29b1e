/**
 * A model's configuration and weights, whatever files they come from.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, Path } from "effect"
import * as ReplaceDirectory from "../replaceDirectory.ts"
import * as HuggingFaceModel from "./HuggingFaceModel.ts"
import * as Llama2c from "./Llama2c.ts"
import { locate } from "./location.ts"
import { fromPlatform, ModelFileMissing, type ModelLoadError } from "./ModelFileErrors.ts"
import type { Weights } from "./WeightStream.ts"

export { save, type SaveOptions } from "./HuggingFaceWriter.ts"
export type { Tensor, Weights } from "./WeightStream.ts"

/**
 * Finds the llama2.c weights of a folder: the one `.bin` file that is no tokenizer and no pickle of PyTorch.
 */
const llama2cFile = (names: ReadonlyArray<string>): string | undefined => {
  const candidates = names.filter((name) => name.endsWith(".bin") && !/^(tok|pytorch_model|training_args)/u.test(name))
  return candidates.length === 1 ? candidates[0] : undefined
}

/** Tells where the earlier model is when a process died as it replaced it. */
const cutOff = Effect.fnUntraced(function*(path: string, error: ModelFileMissing) {
  const fs = yield* FileSystem.FileSystem
  const aside = yield* ReplaceDirectory.asideOf(path)
  return yield* (yield* Effect.orElseSucceed(fs.exists(aside), () => false))
    ? new ModelFileMissing({
      path,
      reason: `a save over it was cut off. What was there is ${aside}: rename it back, or save again`
    })
    : error
})

/**
 * Opens a model: a folder in Hugging Face's layout (`config.json` and safetensors, whole or sharded), a llama2.c `.bin`
 * file, or a folder with one, named by a path (`~` is the home directory) or a `file:` address. All of the configuration
 * and the names, types, shapes and places of all tensors are checked before this succeeds; numbers are read by the
 * stream.
 *
 * @category constructors
 * @since 0.1.0
 */
export const read = Effect.fn("Weights.read")(function*(
  model: string
): Effect.fn.Return<Weights, ModelLoadError, FileSystem.FileSystem | Path.Path> {
  const fs = yield* FileSystem.FileSystem
  const { join } = yield* Path.Path
  const path = yield* locate(model)
  const info = yield* fs.stat(path).pipe(
    Effect.mapError(fromPlatform(path)),
    Effect.catchTag("ModelFileMissing", (error) => cutOff(path, error))
  )
  if (info.type !== "Directory") {
    return path.endsWith(".bin")
      ? yield* Llama2c.read(path)
      : yield* new ModelFileMissing({
        path,
        reason: "expected a folder with config.json and safetensors, or a llama2.c file whose name ends in .bin"
      })
  }
  const names = yield* fs.readDirectory(path).pipe(Effect.mapError(fromPlatform(path)))
  const bin = llama2cFile(names)
  return bin !== undefined && !names.includes("config.json")
    ? yield* Llama2c.read(join(path, bin))
    : yield* HuggingFaceModel.read(path)
})
