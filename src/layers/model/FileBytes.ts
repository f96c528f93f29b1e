/**
 * Reads of exact ranges of large files.
 *
 * @since 0.1.0
 */
import { ByteSize, Effect, type FileSystem, Option } from "effect"
import { fromPlatform, type ModelFileIo, type ModelFileMissing, ModelFileTruncated } from "./ModelFileErrors.ts"

/** Bytes read at once: what a conversion holds beside its result, and how long an interruption can wait. */
const chunkBytes = 16 * 1024 * 1024

/**
 * The size of an open file in bytes.
 *
 * @category getters
 * @since 0.1.0
 */
export const size = (file: FileSystem.File, path: string): Effect.Effect<number, ModelFileMissing | ModelFileIo> =>
  file.stat.pipe(
    Effect.mapError(fromPlatform(path)),
    Effect.map((info) => Option.getOrElse(ByteSize.toNumber(info.size), () => Number.MAX_SAFE_INTEGER))
  )

/**
 * Fills `target` with the bytes at `position`. `part` names them in the error of a file that ends too early.
 *
 * @category constructors
 * @since 0.1.0
 */
export const readInto = Effect.fnUntraced(function*(
  file: FileSystem.File,
  path: string,
  target: Uint8Array,
  position: number,
  part: string
) {
  let done = 0
  while (done < target.length) {
    const read = yield* file.read(target.subarray(done, Math.min(done + chunkBytes, target.length)), {
      position: BigInt(position + done)
    }).pipe(Effect.mapError(fromPlatform(path)))
    if (read === 0) {
      return yield* new ModelFileTruncated({
        path,
        part,
        expectedBytes: position + target.length,
        foundBytes: position + done
      })
    }
    done += read
  }
})

/**
 * The bytes at `position`, handed to `use` in runs of at most 16 MiB, each with the number of bytes before it. A run has
 * a multiple of 8 bytes but for the last one. Its buffer is used again for the next.
 *
 * @category constructors
 * @since 0.1.0
 */
export const readRuns = Effect.fnUntraced(function*(
  file: FileSystem.File,
  path: string,
  options: { readonly position: number; readonly bytes: number; readonly part: string },
  use: (run: Uint8Array<ArrayBuffer>, before: number) => void
) {
  const buffer = new Uint8Array(Math.min(chunkBytes, options.bytes))
  for (let before = 0; before < options.bytes; before += buffer.length) {
    const run = buffer.subarray(0, Math.min(buffer.length, options.bytes - before))
    yield* readInto(file, path, run, options.position + before, options.part)
    use(run, before)
  }
})
