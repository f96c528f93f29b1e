/**
 * Reinforcement learning as a Stream of steps over Questions, Policy, Retriever, Reward and Optimizer (spec §4.1).
 *
 * A step collects rollouts, scores them, estimates advantages and updates the parameters that the policy samples from.
 * Between steps the run is a small value (`RunState`) and the learners' states; a checkpoint holds both. Interrupting the
 * stream abandons the step in hand and saves the last whole one; updates whose step before is in no checkpoint are ended
 * first.
 *
 * @since 0.1.0
 */
import { Clock, Effect, Fiber, Metric, Option, Ref, Stream } from "effect"
import * as EarlyStop from "../domain/EarlyStop.ts"
import * as KlController from "../domain/KlController.ts"
import * as Metrics from "../domain/Metrics.ts"
import type { ScoredTrajectory } from "../domain/Outcome.ts"
import type { Question } from "../domain/Question.ts"
import type { RunConfig } from "../domain/RunConfigSchema.ts"
import * as RunPlan from "../domain/RunPlan.ts"
import type { CheckpointError } from "../services/Checkpoints.ts"
import { Checkpoints } from "../services/Checkpoints.ts"
import type { LearnerError, Optimizer } from "../services/Optimizer.ts"
import type { Policy, PolicyUnavailable } from "../services/Policy.ts"
import type { Questions, QuestionsUnreadable } from "../services/Questions.ts"
import { type Retriever, searchRetries } from "../services/Retriever.ts"
import type { Reward } from "../services/Reward.ts"
import { RunLog, type RunLogError } from "../services/RunLog.ts"
import type { Tokenizer } from "../services/Tokenizer.ts"
import type * as Evaluate from "./Evaluate.ts"
import { collect, type Collected, take } from "./train/Collect.ts"
import * as Examine from "./train/Examine.ts"
import { learn, type Learned, type LearnError } from "./train/Learn.ts"
import type { OnProgress } from "./train/Progress.ts"
import * as State from "./train/State.ts"

export { MissingService } from "./train/Learn.ts"
export type { OnProgress, Progress } from "./train/Progress.ts"
export { NothingToDo, restoreActor, ResumeConflict, RunState } from "./train/State.ts"

/**
 * Why a run ended before its last step.
 *
 * @category errors
 * @since 0.1.0
 */
export type TrainError =
  | LearnError
  | LearnerError
  | QuestionsUnreadable
  | CheckpointError
  | RunLogError
  | State.ResumeConflict
  | State.NothingToDo

/**
 * What a run needs. A run with a KL term takes `ReferencePolicy` from its environment besides, one with the `gae`
 * estimator `Critic`.
 *
 * @category models
 * @since 0.1.0
 */
export type Requirements = Policy | Optimizer | Retriever | Reward | Tokenizer | Questions | Checkpoints | RunLog

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Held-out questions; without them the run is not evaluated. */
  readonly evaluation?: Stream.Stream<Question, QuestionsUnreadable> | undefined
  /** What evaluations search instead of the training run's retriever: the encyclopedia of a held-out world. */
  readonly evaluationRetriever?: Retriever["Service"] | undefined
  /** Whether to go on from the newest checkpoint. Without one the run begins. */
  readonly resume?: boolean | undefined
  /** Is told the steps made when the run goes on from a checkpoint. */
  readonly onResumed?: ((step: number) => Effect.Effect<void>) | undefined
  /** Is told what the step in hand is at. */
  readonly onProgress?: OnProgress | undefined
  /** Trajectories of each step that go into the log. Default 4. */
  readonly logTrajectories?: number | undefined
}

/**
 * What the consumer of the stream sees: one report a step, after its updates. Times are in seconds and are not part of
 * `metrics`, which are the same for the same seed.
 *
 * @category models
 * @since 0.1.0
 */
export interface StepReport {
  /** Steps made, this one included. 0 is the evaluation before training. */
  readonly step: number
  readonly steps: number
  readonly metrics: Readonly<Record<string, number>>
  readonly evaluation: Evaluate.Evaluation | null
  readonly failures: Readonly<Record<string, number>>
  readonly trajectories: ReadonlyArray<ScoredTrajectory>
  readonly seconds: {
    readonly rollout: number
    readonly prepare: number
    readonly update: number
    readonly total: number
  }
  /** Searches that were tried once more during the step. Like times, no part of `metrics`. */
  readonly retries: number
  /** Why the run ends here although steps are left, or null. */
  readonly stopped: string | null
}

const due = (every: number, step: number): boolean => every > 0 && step % every === 0

const failureCounts = (collected: Collected): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const { error } of collected.failures) counts[error._tag] = (counts[error._tag] ?? 0) + 1
  return counts
}

/** Numbers that JSON cannot hold would make the log unreadable; a metric that is not finite is left out. */
const finite = (metrics: Readonly<Record<string, number>>): Record<string, number> =>
  Object.fromEntries(Object.entries(metrics).filter(([, value]) => Number.isFinite(value)))

const observed = (metrics: Readonly<Record<string, number>>, learned: Learned): EarlyStop.Observed => ({
  meanReward: metrics["critic/score/mean"] ?? null,
  validActionRatio: metrics["env/ratio_of_valid_action"] ?? null,
  gradNorm: metrics["actor/grad_norm"] ?? null,
  kl: learned.kl,
  skipped: learned.skipped
})

const logRollouts = Effect.fnUntraced(function*(step: number, collected: Collected, options: Options) {
  const log = yield* RunLog
  for (const scored of collected.scored.slice(0, options.logTrajectories ?? 4)) {
    yield* log.trajectory({ step, scored })
  }
  for (const { error, promptKey, questionId, sample } of collected.failures) {
    yield* log.event("rollout-failed", {
      step,
      promptKey,
      sample,
      questionId,
      error: error._tag,
      message: error.message
    })
  }
})

const begin = Effect.fnUntraced(function*(config: RunConfig, options: Options) {
  const log = yield* RunLog
  const latest = options.resume === true ? yield* (yield* Checkpoints).latest : Option.none()
  if (Option.isNone(latest)) {
    // what a run that died before its first checkpoint had logged
    if (options.resume === true) yield* log.rewind(-1)
    yield* log.event("started", { seed: config.seed, steps: config.steps, algorithm: config.algorithm })
    return { state: State.initial(config), resumed: false }
  }
  const state = yield* State.load(latest.value, config)
  yield* log.rewind(state.pending === null ? state.step : state.step - 1)
  // the crash may have come between the checkpoint and the line of its step
  const last = yield* Stream.runLast(log.readMetrics)
  const logged = Option.match(last, { onNone: () => -1, onSome: (record) => record.step })
  if (state.lastMetrics !== null && logged < state.lastMetrics.step) yield* log.metrics(state.lastMetrics)
  yield* log.event("resumed", { step: state.step })
  if (options.onResumed !== undefined) yield* options.onResumed(state.step)
  return { state, resumed: true }
})

interface Loop {
  readonly state: State.RunState
  /** Rollouts of the next steps that have begun. */
  readonly rollouts: ReadonlyArray<Fiber.Fiber<Collected, PolicyUnavailable>>
  /** Where the questions behind theirs begin. */
  readonly cursor: State.RunState["cursor"]
  readonly stopped: boolean
}

/**
 * Runs the steps that are left.
 *
 * Rollouts of a step begin when the updates of the step before have ended, or `rollout.staleness` steps earlier.
 *
 * @category programs
 * @since 0.1.0
 */
export const run = (
  config: RunConfig,
  options: Options = {}
): Stream.Stream<StepReport, TrainError, Requirements> =>
  Stream.unwrap(Effect.gen(function*() {
    const { resumed, state: start } = yield* begin(config, options)
    const scope = yield* Effect.scope
    const whole = yield* Ref.make(start)
    const saved = yield* Ref.make(resumed && start.pending === null ? start.step : -1)
    const save = Effect.fnUntraced(function*(state: State.RunState) {
      yield* State.save(state)
      yield* Ref.set(saved, state.step)
    })
    const services = yield* Effect.context<Requirements>()
    yield* Effect.addFinalizer(() =>
      Effect.gen(function*() {
        const state = yield* Ref.get(whole)
        if (state.step > 0 && state.step !== (yield* Ref.get(saved))) yield* save(state)
      }).pipe(
        Effect.catch((error) => Effect.logError(`the last step could not be saved: ${error.message}`)),
        Effect.provide(services)
      )
    )

    /** Starts the rollouts of as many steps as may be in flight. */
    const fill = Effect.fnUntraced(function*({ cursor, rollouts, state }: Loop) {
      const flying = [...rollouts]
      let next = cursor
      while (flying.length < Math.min(config.rollout.staleness + 1, config.steps - state.step)) {
        const batch = yield* take(config, next)
        const rollouts = collect(config, state.step + flying.length, batch, options.onProgress)
        flying.push(yield* Effect.forkIn(rollouts, scope, { startImmediately: true }))
        next = batch.next
      }
      return { flying, next }
    })

    /**
     * Rollouts and updates. An interruption abandons the rollouts, and the updates too where the step before is in a
     * checkpoint; else updates that have begun are ended, for the learners then hold neither step.
     */
    const learnStep = Effect.fn("Train.learnStep")(function*(loop: Loop) {
      const { state } = loop
      const { flying, next } = yield* fill(loop)
      const [own, ...ahead] = flying
      if (own === undefined) return undefined
      const collected = yield* Fiber.join(own)
      const updates = learn(config, state.step, collected.scored, state.klCoefficient, options.onProgress)
      const abandoned = (yield* Ref.get(saved)) === state.step
      const finish = (learned: Learned) =>
        Effect.gen(function*() {
          const metrics = finite({
            ...Metrics.rollouts(collected.scored, collected.failures),
            ...learned.metrics,
            "train/updates": learned.updates,
            "train/skipped_updates": learned.skipped.filter(Boolean).length,
            "train/dropped_trajectories": collected.dropped
          })
          const verdict = EarlyStop.next(config.earlyStop, state.earlyStop, observed(metrics, learned))
          const following: State.RunState = {
            ...state,
            step: state.step + 1,
            cursor: collected.next,
            klCoefficient: KlController.next(RunPlan.klController(config), state.klCoefficient, {
              kl: learned.kl ?? Number.NaN,
              trajectories: collected.scored.length
            }),
            earlyStop: verdict.state,
            metric: null,
            pending: { metrics, stopped: verdict.reason }
          }
          yield* logRollouts(following.step, collected, options)
          yield* Ref.set(whole, following)
          return { loop: { state: following, rollouts: ahead, cursor: next, stopped: false }, collected, learned }
        })
      return yield* Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(abandoned ? restore(updates) : updates, finish)
      )
    })

    /** Evaluation, log line and checkpoint of a step whose updates are made. */
    const reportStep = Effect.fn("Train.reportStep")(function*(state: State.RunState, last: boolean) {
      const evaluation = due(config.evaluation.every, state.step) || last
        ? yield* Examine.evaluate(config, state.step, options)
        : null
      const metrics = { ...state.pending?.metrics, ...finite(Examine.metricsOf(evaluation)) }
      const following: State.RunState = {
        ...state,
        metric: evaluation?.total.em ?? null,
        lastMetrics: { step: state.step, metrics },
        pending: null
      }
      yield* Effect.uninterruptible(Effect.gen(function*() {
        const log = yield* RunLog
        yield* log.metrics({ step: state.step, metrics })
        yield* Ref.set(whole, following)
        if (due(config.checkpoints.every, state.step) || last) yield* save(following)
      }))
      return { evaluation, following, metrics }
    })

    const step = Effect.fn("Train.step")(function*(loop: Loop) {
      const unfinished = loop.state.pending !== null
      if (loop.stopped || (!unfinished && loop.state.step >= config.steps)) return undefined
      const started = yield* Clock.currentTimeMillis
      const { count: retriesBefore } = yield* Metric.value(searchRetries)
      const made = unfinished ? undefined : yield* learnStep(loop)
      const after = made?.loop ?? loop
      const stopped = after.state.pending?.stopped ?? null
      const { evaluation, following, metrics } = yield* reportStep(
        after.state,
        after.state.step === config.steps || stopped !== null
      )
      const seconds = {
        rollout: made?.collected.seconds ?? 0,
        prepare: made?.learned.seconds.prepare ?? 0,
        update: made?.learned.seconds.update ?? 0,
        total: ((yield* Clock.currentTimeMillis) - started) / 1000
      }
      const failures = made === undefined ? {} : failureCounts(made.collected)
      const retries = (yield* Metric.value(searchRetries)).count - retriesBefore
      yield* RunLog.use((log) => log.event("step", { step: following.step, seconds, retries, failures }))
      if (stopped !== null) {
        yield* RunLog.use((log) => log.event("stopped", { step: following.step, reason: stopped }))
      }
      const report: StepReport = {
        step: following.step,
        steps: config.steps,
        metrics,
        evaluation,
        failures,
        trajectories: made?.collected.scored ?? [],
        seconds,
        retries,
        stopped
      }
      const next: Loop = { ...after, state: following, stopped: stopped !== null }
      return [report, next] as const
    })

    const before = config.evaluation.beforeTraining && !resumed
      ? Stream.fromEffect(Effect.map(Examine.evaluate(config, 0, options), (evaluation): StepReport => ({
        step: 0,
        steps: config.steps,
        metrics: finite(Examine.metricsOf(evaluation)),
        evaluation,
        failures: evaluation?.failures ?? {},
        trajectories: [],
        seconds: { rollout: 0, prepare: 0, update: 0, total: 0 },
        retries: 0,
        stopped: null
      }))).pipe(
        Stream.filter((report) => report.evaluation !== null),
        Stream.tap((report) => RunLog.use((log) => log.metrics({ step: 0, metrics: report.metrics })))
      )
      : Stream.empty

    return Stream.concat(
      before,
      Stream.unfold<Loop, StepReport, TrainError, Requirements>({
        state: start,
        rollouts: [],
        cursor: start.cursor,
        stopped: false
      }, step)
    )
  }))

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
