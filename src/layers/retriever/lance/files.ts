/**
 * Checksums of the files of a database.
 *
 * @since 0.1.0
 */
// CRC-32 has no counterpart in Effect.
// @effect-diagnostics nodeBuiltinImport:off
import { Effect, FileSystem, Path, Stream } from "effect"
import { crc32 } from "node:zlib"
import * as SystemReason from "../../systemReason.ts"
import { IndexCorrupt } from "../indexfile/errors.ts"
import { type Description, fileName, tableName } from "./description.ts"

const checksum = Effect.fnUntraced(function*(file: string) {
  const fs = yield* FileSystem.FileSystem
  return yield* Stream.runFold(
    fs.stream(file, { chunkSize: 1 << 20 }),
    () => ({ bytes: 0, crc32: 0 }),
    (sum, bytes) => ({ bytes: sum.bytes + bytes.length, crc32: crc32(bytes, sum.crc32) })
  )
})

/**
 * Length and CRC-32 of every file of a directory but those that are written around the database.
 *
 * @category getters
 * @since 0.1.0
 */
export const checksums = Effect.fnUntraced(function*(directory: string) {
  const fs = yield* FileSystem.FileSystem
  const { join, sep } = yield* Path.Path
  const files: Record<string, { readonly bytes: number; readonly crc32: number }> = {}
  for (const name of (yield* fs.readDirectory(directory, { recursive: true })).toSorted()) {
    if (name === fileName || !name.startsWith(tableName)) continue
    const path = join(directory, name)
    if ((yield* fs.stat(path)).type === "File") files[name.split(sep).join("/")] = yield* checksum(path)
  }
  return files
})

/**
 * Compares every file with what the description says of it.
 *
 * @category reading
 * @since 0.1.0
 */
export const verify = Effect.fnUntraced(function*(directory: string, { files }: Description) {
  const { join } = yield* Path.Path
  const corrupt = (reason: string) => new IndexCorrupt({ path: directory, reason })
  for (const [name, expected] of Object.entries(files)) {
    const found = yield* checksum(join(directory, name)).pipe(
      Effect.mapError((error) => corrupt(`${name} cannot be read: ${SystemReason.of(error)}`))
    )
    if (found.bytes !== expected.bytes || found.crc32 !== expected.crc32) {
      return yield* corrupt(`the checksum of ${name} does not match`)
    }
  }
})
