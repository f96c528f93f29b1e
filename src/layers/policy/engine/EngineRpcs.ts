/**
 * What an engine in another thread is asked for.
 *
 * Values cross as structured clones: typed arrays are never turned into lists. What the engine answers with is moved
 * instead of copied.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { Transferable } from "effect/workers"
import type { MiniBatch } from "../../../domain/Batch.ts"
import { ModelConfig } from "../../../domain/ModelConfig.ts"
import type { CriticUpdateOptions } from "../../../services/Critic.ts"
import { DeviceError, DeviceUnavailable } from "../../../services/Device.ts"
import { LearnerError, type LearnerState, type UpdateOptions } from "../../../services/Optimizer.ts"
import {
  type GenerateOptions,
  type Generation,
  PolicyError,
  type SequenceLogProbs,
  type SessionOptions
} from "../../../services/Policy.ts"
import { ModelLoadError } from "../../model/ModelFileErrors.ts"
import { VocabularyMismatch } from "../../tokenizer/checkVocabulary.ts"
import { TokenizerError } from "../../tokenizer/TokenizerErrors.ts"
import { ParameterMismatch } from "./ParameterMismatch.ts"

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

/** The memory of all typed arrays in a value, each once. */
const buffers = (value: unknown, found = new Set<ArrayBuffer>()): Set<ArrayBuffer> => {
  if (ArrayBuffer.isView(value)) {
    if (value.buffer instanceof ArrayBuffer) found.add(value.buffer)
  } else if (isObject(value)) {
    for (const member of Object.values(value)) buffers(member, found)
  }
  return found
}

const holds = <A extends object>(key: keyof A & string) => (value: unknown): value is A =>
  isObject(value) && key in value

/** A value that is copied to the other side: its arrays stay the sender's. */
const copied = <A>(is: (value: unknown) => value is A) => Transferable.schema(Schema.declare(is), () => [])

/** A value whose arrays are moved to the other side. */
const moved = <A>(is: (value: unknown) => value is A) =>
  Transferable.schema(Schema.declare(is), (value) => buffers(value))

const arrayOf = <A>(is: (value: unknown) => value is A) => (value: unknown): value is ReadonlyArray<A> =>
  Array.isArray(value) && value.every((member) => is(member))

const isInts = (value: unknown): value is Int32Array => value instanceof Int32Array
const isFloats = (value: unknown): value is Float32Array => value instanceof Float32Array

/**
 * What a generation that is followed as it is drawn is made of: pieces of text, and at the end itself.
 *
 * @category models
 * @since 0.1.0
 */
export type Spoken = { readonly piece: string } | { readonly generation: Generation }

const isSpoken = (value: unknown): value is Spoken => isObject(value) && ("piece" in value || "generation" in value)

const Session = Schema.Natural
const Sequences = copied(arrayOf(isInts))
const State = holds<LearnerState>("blobs")
const Metrics = Schema.Record(Schema.String, Schema.Finite)

/**
 * What an engine is started with, as plain data: it crosses threads.
 *
 * @category schemas
 * @since 0.1.0
 */
export const StartOptions = Schema.Struct({
  /** The folder or file of the model, tokenizer beside it. */
  model: Schema.String,
  device: Schema.Literals(["wasm", "tensorflow", "torch", "cpu"]),
  threads: Schema.optionalKey(Schema.Int),
  limitBytes: Schema.optionalKey(Schema.Finite),
  critic: Schema.optionalKey(Schema.Boolean),
  reference: Schema.optionalKey(Schema.Boolean),
  checkpointing: Schema.optionalKey(Schema.Boolean),
  maxTokens: Schema.optionalKey(Schema.Int),
  maxSequences: Schema.optionalKey(Schema.Int),
  cacheTokens: Schema.optionalKey(Schema.Int),
  maxCacheTokens: Schema.optionalKey(Schema.Int),
  scoreTokens: Schema.optionalKey(Schema.Int)
})

/**
 * @category models
 * @since 0.1.0
 */
export type StartOptions = typeof StartOptions.Type

/**
 * Why an engine could not start.
 *
 * @category errors
 * @since 0.1.0
 */
export const StartError = Schema.Union([
  ...ModelLoadError.members,
  ...TokenizerError.members,
  VocabularyMismatch,
  ParameterMismatch,
  DeviceUnavailable,
  ...DeviceError.members
])

/**
 * @category errors
 * @since 0.1.0
 */
export type StartError = typeof StartError.Type

/**
 * The engine's RPC group.
 *
 * @category models
 * @since 0.1.0
 */
export class EngineRpcs extends RpcGroup.make(
  Rpc.make("Start", {
    payload: StartOptions,
    success: Schema.Struct({ config: ModelConfig, contextLength: Schema.Natural }),
    error: StartError
  }),
  Rpc.make("Version", { success: Schema.Natural }),
  Rpc.make("Open", {
    payload: { options: copied(holds<SessionOptions>("promptKey")) },
    success: Session,
    error: PolicyError
  }),
  Rpc.make("Append", { payload: { session: Session, ids: copied(isInts) }, error: PolicyError }),
  Rpc.make("Generate", {
    payload: { session: Session, options: copied(holds<GenerateOptions>("sampling")) },
    success: moved(holds<Generation>("logProbs")),
    error: PolicyError
  }),
  Rpc.make("GenerateAloud", {
    payload: { session: Session, options: copied(holds<GenerateOptions>("sampling")) },
    success: moved(isSpoken),
    error: PolicyError,
    stream: true
  }),
  Rpc.make("Close", { payload: { session: Session } }),
  Rpc.make("LogProbs", {
    payload: { of: Schema.Literals(["policy", "reference"]), sequences: Sequences, temperature: Schema.Finite },
    success: moved(arrayOf(holds<SequenceLogProbs>("entropy"))),
    error: PolicyError
  }),
  Rpc.make("Update", {
    payload: { batch: copied(holds<MiniBatch>("normaliser")), options: copied(holds<UpdateOptions>("temperature")) },
    success: Schema.Struct({ metrics: Metrics, policyVersion: Schema.Natural }),
    error: LearnerError
  }),
  Rpc.make("State", {
    payload: { of: Schema.Literals(["actor", "critic"]) },
    success: moved(State),
    error: LearnerError
  }),
  Rpc.make("Restore", {
    payload: { of: Schema.Literals(["actor", "critic"]), state: copied(State) },
    error: LearnerError
  }),
  Rpc.make("Values", {
    payload: { sequences: Sequences },
    success: moved(arrayOf(isFloats)),
    error: LearnerError
  }),
  Rpc.make("UpdateCritic", {
    payload: {
      batch: copied(holds<MiniBatch>("normaliser")),
      options: copied(holds<CriticUpdateOptions>("learningRate"))
    },
    success: Schema.Struct({ metrics: Metrics }),
    error: LearnerError
  }),
  Rpc.make("ReadWeight", {
    payload: { name: Schema.String, shape: Schema.Array(Schema.Int) },
    success: moved(isFloats),
    error: DeviceError
  })
) {}
