/**
 * What a checkpoint of a run holds, and how a run is taken up again.
 *
 * @since 0.1.0
 */
import { Effect, Option, Schema } from "effect"
import * as Differences from "../../domain/Differences.ts"
import * as EarlyStop from "../../domain/EarlyStop.ts"
import { plural } from "../../domain/Plural.ts"
import * as RunConfigDifferences from "../../domain/RunConfigDifferences.ts"
import { RunConfig } from "../../domain/RunConfigSchema.ts"
import { type Checkpoint, CheckpointCorrupt, type CheckpointInfo, Checkpoints } from "../../services/Checkpoints.ts"
import { Critic } from "../../services/Critic.ts"
import { type LearnerState, Optimizer } from "../../services/Optimizer.ts"
import { Cursor } from "../../services/Questions.ts"
import { MetricsRecord } from "../../services/RunLog.ts"

/**
 * The run was made with other settings than those it is to be resumed with.
 *
 * @category errors
 * @since 0.1.0
 */
export class ResumeConflict extends Schema.TaggedError<ResumeConflict>()("ResumeConflict", {
  differences: Schema.Array(Differences.Difference)
}) {
  override get message() {
    return `the run was made with other settings: ${
      this.differences.map(Differences.describe).join(", ")
    }. Resume with the same ones, or start a new run from what this one has learned`
  }
}

/**
 * The newest checkpoint belongs to other work than that which is to go on.
 *
 * @category errors
 * @since 0.2.0
 */
export class ResumeMismatch extends Schema.TaggedError<ResumeMismatch>()("ResumeMismatch", {
  path: Schema.String,
  expected: Schema.String
}) {
  override get message() {
    return `${this.path} is no checkpoint of ${this.expected}`
  }
}

/**
 * The run has made all its steps.
 *
 * @category errors
 * @since 0.1.0
 */
export class NothingToDo extends Schema.TaggedError<NothingToDo>()("NothingToDo", {
  step: Schema.Natural,
  steps: Schema.Natural
}) {
  override get message() {
    return `the run has made ${this.step} of its ${
      plural(this.steps, "step")
    }: there is nothing left to do (raise steps to go on)`
  }
}

/**
 * A run between two steps. With the learners' states it is all that continuing needs: everything random is a function of
 * the seed and the step.
 *
 * @category schemas
 * @since 0.1.0
 */
export const RunState = Schema.Struct({
  version: Schema.Literal(1),
  config: RunConfig,
  /** Steps made. */
  step: Schema.Natural,
  cursor: Cursor,
  klCoefficient: Schema.Finite,
  earlyStop: EarlyStop.EarlyStopState,
  /** This step's evaluation, what "best" means; null where it was not evaluated. */
  metric: Schema.NullOr(Schema.Finite),
  /** What the last step reported: a crash between a checkpoint and its log line must not lose the line. */
  lastMetrics: Schema.NullOr(MetricsRecord),
  /** A step whose updates are made and whose evaluation and report are not: an interruption came between. */
  pending: Schema.NullOr(Schema.Struct({
    metrics: Schema.Record(Schema.String, Schema.Finite),
    /** Why the run is to stop behind this step, or null. */
    stopped: Schema.NullOr(Schema.String)
  })),
  learners: Schema.Record(Schema.String, Schema.Json)
})

/**
 * @category models
 * @since 0.1.0
 */
export type RunState = typeof RunState.Type

/**
 * The state before the first step.
 *
 * @category constructors
 * @since 0.1.0
 */
export const initial = (config: RunConfig): RunState => ({
  version: 1,
  config,
  step: 0,
  cursor: { epoch: 0, offset: 0 },
  klCoefficient: config.kl.coefficient,
  earlyStop: EarlyStop.initial,
  metric: null,
  lastMetrics: null,
  pending: null,
  learners: {}
})

const codec = Schema.toCodecJson(RunState)

const prefixed = (name: string, state: LearnerState) =>
  Object.fromEntries(Object.entries(state.blobs).map(([blob, bytes]) => [`${name}.${blob}`, bytes]))

const unprefixed = (name: string, checkpoint: Checkpoint): LearnerState["blobs"] =>
  Object.fromEntries(
    Object.entries(checkpoint.blobs).flatMap(([blob, bytes]) =>
      blob.startsWith(`${name}.`) ? [[blob.slice(name.length + 1), bytes]] : []
    )
  )

/**
 * Saves a run with the states of its optimizer and, where there is one, its critic.
 *
 * @category programs
 * @since 0.1.0
 */
export const save = Effect.fn("Train.save")(function*(state: RunState) {
  const checkpoints = yield* Checkpoints
  const optimizer = yield* (yield* Optimizer).state
  const critic = yield* Effect.serviceOption(Critic)
  const value = Option.isSome(critic) ? yield* critic.value.state : undefined
  const complete: RunState = {
    ...state,
    learners: { actor: optimizer.info, ...(value === undefined ? {} : { critic: value.info }) }
  }
  const json = yield* Effect.orDie(Schema.encodeEffect(codec)(complete))
  return yield* checkpoints.save({
    step: state.step,
    metric: state.metric,
    state: json,
    blobs: { ...prefixed("actor", optimizer), ...(value === undefined ? {} : prefixed("critic", value)) }
  })
})

const decode = (info: CheckpointInfo, state: Schema.Json) =>
  Effect.mapError(
    Schema.decodeEffect(codec)(state),
    (error) => new CheckpointCorrupt({ path: info.path, reason: error.message })
  )

const read = Effect.fnUntraced(function*(info: CheckpointInfo) {
  const checkpoint = yield* (yield* Checkpoints).load(info)
  return { checkpoint, state: yield* decode(info, checkpoint.state) }
})

/** Fails where a run in this state cannot go on with a configuration. */
const expectSameRun = Effect.fnUntraced(function*(state: RunState, config: RunConfig) {
  const differences = RunConfigDifferences.conflicts(state.config, config)
  if (differences.length > 0) return yield* new ResumeConflict({ differences })
  if (state.step >= config.steps && state.pending === null) {
    return yield* new NothingToDo({ step: state.step, steps: config.steps })
  }
})

const restoreOptimizer = Effect.fnUntraced(function*(checkpoint: Checkpoint, state: RunState) {
  const optimizer = yield* Optimizer
  yield* optimizer.restore({ info: state.learners["actor"] ?? null, blobs: unprefixed("actor", checkpoint) })
})

/**
 * Gives the policy the parameters of a checkpoint, to be evaluated or asked. The returned state tells what the run had
 * reached then.
 *
 * @category programs
 * @since 0.1.0
 */
export const restoreActor = Effect.fn("Train.restoreActor")(function*(info: CheckpointInfo) {
  const { checkpoint, state } = yield* read(info)
  yield* restoreOptimizer(checkpoint, state)
  return state
})

/**
 * Fails where a checkpoint says that its run cannot go on with a configuration. Its weights are not read.
 *
 * @category guards
 * @since 0.2.0
 */
export const expectResumable = Effect.fn("Train.expectResumable")(function*(info: CheckpointInfo, config: RunConfig) {
  const checkpoints = yield* Checkpoints
  yield* expectSameRun(yield* decode(info, yield* checkpoints.peek(info)), config)
})

/**
 * Restores a run: the learners get their states back, the returned state is where to go on.
 *
 * @category programs
 * @since 0.1.0
 */
export const load = Effect.fn("Train.load")(function*(info: CheckpointInfo, config: RunConfig) {
  const { checkpoint, state } = yield* read(info)
  yield* expectSameRun(state, config)
  yield* restoreOptimizer(checkpoint, state)
  const critic = yield* Effect.serviceOption(Critic)
  if (Option.isSome(critic)) {
    const saved = state.learners["critic"]
    if (saved === undefined) {
      return yield* new CheckpointCorrupt({ path: info.path, reason: "it holds no critic, which this run has" })
    }
    yield* critic.value.restore({ info: saved, blobs: unprefixed("critic", checkpoint) })
  }
  return { ...state, config }
})

/**
 * Which checkpoint a finished run is used by: the best one by its evaluation, else the newest.
 *
 * @category programs
 * @since 0.1.0
 */
export const chosenCheckpoint = Effect.gen(function*() {
  const checkpoints = yield* Checkpoints
  const best = yield* checkpoints.best
  return Option.isSome(best) ? best : yield* checkpoints.latest
})
