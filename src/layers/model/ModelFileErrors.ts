/**
 * What can be wrong with the files of a model.
 *
 * @since 0.1.0
 */
import { type PlatformError, Schema } from "effect"
import { InvalidModelConfig, UnknownArchitecture, UnsupportedModelFeature } from "../../domain/ModelConfig.ts"
import * as SystemReason from "../systemReason.ts"

const Shape = Schema.Array(Schema.Natural)

/** What to look at first where tensors and configuration contradict each other. */
const belong = "does config.json belong to these weights?"

const shapeText = (shape: ReadonlyArray<number>): string => `[${shape.join(", ")}]`

/**
 * A file of a model is not there. `reason` tells what was looked for, or what to do about it.
 *
 * @category errors
 * @since 0.1.0
 */
export class ModelFileMissing extends Schema.TaggedError<ModelFileMissing>()("ModelFileMissing", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `${this.path}: ${this.reason}`
  }
}

/**
 * A file of a model could not be read or written.
 *
 * @category errors
 * @since 0.1.0
 */
export class ModelFileIo extends Schema.TaggedError<ModelFileIo>()("ModelFileIo", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `${this.path}: ${this.reason}`
  }
}

/**
 * A file ends before the content that its beginning announces.
 *
 * @category errors
 * @since 0.1.0
 */
export class ModelFileTruncated extends Schema.TaggedError<ModelFileTruncated>()("ModelFileTruncated", {
  path: Schema.String,
  /** The first tensor that is not whole, or what else is cut. */
  part: Schema.String,
  /** Finite rather than an integer: a broken header may announce more than integers can count. */
  expectedBytes: Schema.Finite,
  foundBytes: Schema.Natural
}) {
  override get message() {
    return `${this.path} is truncated within ${this.part}: ${this.expectedBytes} bytes expected, ${this.foundBytes} found. Copy or download it again`
  }
}

/**
 * A file is not of the format that its name says.
 *
 * @category errors
 * @since 0.1.0
 */
export class ModelFileInvalid extends Schema.TaggedError<ModelFileInvalid>()("ModelFileInvalid", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `${this.path} is not valid: ${this.reason}`
  }
}

/**
 * The place of a tensor within its file contradicts its shape, another tensor or the file's size.
 *
 * @category errors
 * @since 0.1.0
 */
export class TensorOffsetsInvalid extends Schema.TaggedError<TensorOffsetsInvalid>()("TensorOffsetsInvalid", {
  path: Schema.String,
  tensor: Schema.String,
  expected: Schema.String,
  found: Schema.String
}) {
  override get message() {
    return `${this.path}: the offsets of ${this.tensor} are wrong: expected ${this.expected}, found ${this.found}. Copy or download the file again`
  }
}

/**
 * A tensor has a number format that cannot be read.
 *
 * @category errors
 * @since 0.1.0
 */
export class TensorTypeUnsupported extends Schema.TaggedError<TensorTypeUnsupported>()("TensorTypeUnsupported", {
  path: Schema.String,
  tensor: Schema.String,
  expected: Schema.Array(Schema.String),
  found: Schema.String
}) {
  override get message() {
    return `${this.path}: ${this.tensor} is of type ${this.found}; expected ${
      this.expected.join(", ")
    }. Save the model in one of these (transformers: model.to(torch.bfloat16).save_pretrained)`
  }
}

/**
 * The configuration asks for a tensor that no file holds.
 *
 * @category errors
 * @since 0.1.0
 */
export class TensorMissing extends Schema.TaggedError<TensorMissing>()("TensorMissing", {
  path: Schema.String,
  tensor: Schema.String,
  expected: Shape
}) {
  override get message() {
    return `${this.path}: the tensor ${this.tensor} of shape ${shapeText(this.expected)} is missing; ${belong}`
  }
}

/**
 * A file holds a tensor that the configuration has no place for.
 *
 * @category errors
 * @since 0.1.0
 */
export class TensorUnexpected extends Schema.TaggedError<TensorUnexpected>()("TensorUnexpected", {
  path: Schema.String,
  tensor: Schema.String,
  found: Shape
}) {
  override get message() {
    return `${this.path}: the tensor ${this.tensor} of shape ${
      shapeText(this.found)
    } has no place in this architecture; ${belong}`
  }
}

/**
 * A tensor has another shape than the configuration asks for.
 *
 * @category errors
 * @since 0.1.0
 */
export class TensorShapeMismatch extends Schema.TaggedError<TensorShapeMismatch>()("TensorShapeMismatch", {
  path: Schema.String,
  tensor: Schema.String,
  expected: Shape,
  found: Shape
}) {
  override get message() {
    return `${this.path}: ${this.tensor} has the shape ${shapeText(this.found)}, expected ${
      shapeText(this.expected)
    }; ${belong}`
  }
}

/**
 * Why a model could not be read.
 *
 * @category errors
 * @since 0.1.0
 */
export const ModelLoadError = Schema.Union([
  UnknownArchitecture,
  InvalidModelConfig,
  UnsupportedModelFeature,
  ModelFileMissing,
  ModelFileIo,
  ModelFileTruncated,
  ModelFileInvalid,
  TensorOffsetsInvalid,
  TensorTypeUnsupported,
  TensorMissing,
  TensorUnexpected,
  TensorShapeMismatch
])

/**
 * @category errors
 * @since 0.1.0
 */
export type ModelLoadError = typeof ModelLoadError.Type

/**
 * The error of a file operation on `path`.
 *
 * @category conversions
 * @since 0.1.0
 */
export const fromPlatform = (path: string) => (error: PlatformError.PlatformError): ModelFileMissing | ModelFileIo =>
  error.reason._tag === "NotFound"
    ? new ModelFileMissing({ path, reason: "there is no such file" })
    : new ModelFileIo({ path, reason: SystemReason.of(error) })
