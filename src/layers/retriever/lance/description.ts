/**
 * What a Lance index says about itself: `search-r1.json` beside the database's own files.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, Path, Schema } from "effect"
import { EmbedderSpec } from "../../../domain/EmbedderSpec.ts"
import * as AtomicFile from "../../atomicFile.ts"
import { IndexCorrupt, IndexIo } from "../indexfile/errors.ts"

/**
 * How vectors are searched without comparing all of them: `ivfPq` (product quantization), `ivfRq` (RaBitQ: one bit a
 * dimension), `hnsw` (a graph over bytes); `flat` compares all.
 *
 * @category schemas
 * @since 0.1.0
 */
export const VectorIndex = Schema.Literals(["flat", "ivfPq", "ivfRq", "hnsw"])

/**
 * @category models
 * @since 0.1.0
 */
export type VectorIndex = typeof VectorIndex.Type

/**
 * What makes two builds the same: a build that was cut off goes on only where these agree.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Plan = Schema.Struct({
  /** Whether words can be searched, what made them, and how many times those of a title count. */
  fullText: Schema.NullOr(
    Schema.Struct({ analyzer: Schema.Literal("multilingual"), titleWeight: Schema.Natural })
  ),
  /** Whether meanings can be searched: the embedder of the passages, and the index over their vectors. */
  vectors: Schema.NullOr(Schema.Struct({ embedder: EmbedderSpec, index: VectorIndex }))
})

/**
 * @category models
 * @since 0.1.0
 */
export type Plan = typeof Plan.Type

/**
 * @category schemas
 * @since 0.1.0
 */
export const Description = Schema.Struct({
  format: Schema.Literal(1),
  kind: Schema.Literal("lance"),
  ...Plan.fields,
  documents: Schema.Natural,
  /** 0 without vectors. */
  dimensions: Schema.Natural,
  /** Offsets of passages by whose vectors the embedder is known again, see `ProbePassages`; older indexes name none. */
  probes: Schema.optionalKey(Schema.Array(Schema.Natural)),
  /** Every file of the database with its length and CRC-32. */
  files: Schema.Record(Schema.String, Schema.Struct({ bytes: Schema.Natural, crc32: Schema.Natural }))
})

/**
 * @category models
 * @since 0.1.0
 */
export type Description = typeof Description.Type

/**
 * The name of the file in the index's directory.
 *
 * @category constants
 * @since 0.1.0
 */
export const fileName = "search-r1.json"

/**
 * The database's table of passages.
 *
 * @category constants
 * @since 0.1.0
 */
export const tableName = "passages"

const DescriptionJson = Schema.fromJsonString(Description)

/**
 * Reads the description of an index.
 *
 * @category reading
 * @since 0.1.0
 */
export const read = Effect.fnUntraced(function*(directory: string) {
  const fs = yield* FileSystem.FileSystem
  const { join } = yield* Path.Path
  if (!(yield* Effect.orElseSucceed(fs.exists(directory), () => false))) {
    return yield* new IndexIo({ path: directory, reason: "there is no such directory" })
  }
  const json = yield* fs.readFileString(join(directory, fileName)).pipe(
    Effect.mapError(() =>
      new IndexCorrupt({ path: directory, reason: `it is not an index that \`search-r1 index build\` made` })
    )
  )
  return yield* Schema.decodeEffect(DescriptionJson)(json).pipe(
    Effect.mapError(() =>
      new IndexCorrupt({ path: directory, reason: "another version of this program wrote it; build it again" })
    )
  )
})

/**
 * @category writing
 * @since 0.1.0
 */
export const write = Effect.fnUntraced(function*(directory: string, description: Description) {
  const { join } = yield* Path.Path
  const json = yield* Effect.orDie(Schema.encodeEffect(DescriptionJson)(description))
  yield* AtomicFile.writeString(join(directory, fileName), json)
})
