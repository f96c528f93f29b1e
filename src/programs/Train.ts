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
import { Clock, Effect, Fiber, Metric, Ref, Stream } from "effect"
import * as EarlyStop from "../domain/EarlyStop.ts"
import * as KlController from "../domain/KlController.ts"
import * as Metrics from "../domain/Metrics.ts"
import type { Question } from "../domain/Question.ts"
import type { RunConfig } from "../domain/RunConfigSchema.ts"
import * as RunPlan from "../domain/RunPlan.ts"
import * as RunVerdict from "../domain/RunVerdict.ts"
import type { CheckpointError, Checkpoints } from "../services/Checkpoints.ts"
import type { LearnerError, Optimizer } from "../services/Optimizer.ts"
import { Policy, type PolicyUnavailable } from "../services/Policy.ts"
import type { Questions, QuestionsUnreadable } from "../services/Questions.ts"
import { type Retriever, searchRetries } from "../services/Retriever.ts"
import type { Reward } from "../services/Reward.ts"
import { RunLog, type RunLogError } from "../services/RunLog.ts"
import type { Tokenizer } from "../services/Tokenizer.ts"
import { begin, type Begun } from "./train/Begin.ts"
import { collect, type Collected, take } from "./train/Collect.ts"
import * as Examine from "./train/Examine.ts"
import { learn, type Learned, type LearnError } from "./train/Learn.ts"
import type { OnProgress } from "./train/Progress.ts"
import type { StepReport } from "./train/Report.ts"
import * as Report from "./train/Report.ts"
import * as State from "./train/State.ts"

export type { Begun } from "./train/Begin.ts"
export { MissingService } from "./train/Learn.ts"
export type { OnProgress, Progress } from "./train/Progress.ts"
export type { StepReport } from "./train/Report.ts"
export {
  chosenCheckpoint,
  expectResumable,
  NothingToDo,
  restoreActor,
  ResumeConflict,
  RunState
} from "./train/State.ts"

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
export interface Options<E = never> {
  /** Held-out questions; without them the run is not evaluated. */
  readonly evaluation?: Stream.Stream<Question, QuestionsUnreadable> | undefined
  /** How many they are, for progress. */
  readonly evaluationSize?: number | undefined
  /** What evaluations search instead of the training run's retriever: the encyclopedia of a held-out world. */
  readonly evaluationRetriever?: Retriever["Service"] | undefined
  /** Whether to go on from the newest checkpoint. Without one the run begins. */
  readonly resume?: boolean | undefined
  /**
   * Is told where the run begins, when all that could refuse it has been checked and the learners hold what they begin
   * with, and before anything of the run is changed: the moment to write its settings down. Where it fails the run ends.
   */
  readonly onBegun?: ((begun: Begun) => Effect.Effect<void, E>) | undefined
  /** Is told what the step in hand is at. */
  readonly onProgress?: OnProgress | undefined
  /** Trajectories of each step that go into the log. Default 4. */
  readonly logTrajectories?: number | undefined
}

const due = (every: number, step: number): boolean => every > 0 && step % every === 0

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
export const run = <E = never>(
  config: RunConfig,
  options: Options<E> = {}
): Stream.Stream<StepReport, TrainError | E, Requirements> =>
  Stream.unwrap(Effect.gen(function*() {
    const { resumed, state: start } = yield* begin(config, options)
    const { contextLength } = yield* Policy
    const scope = yield* Effect.scope
    const whole = yield* Ref.make(start)
    /** Whether updates have begun whose end `whole` does not know of: the learners then hold no step. */
    const torn = yield* Ref.make(false)
    const saved = yield* Ref.make(resumed && start.pending === null ? start.step : -1)
    const save = Effect.fnUntraced(function*(state: State.RunState) {
      // a checkpoint never knows of a step that the log has forgotten
      yield* RunLog.use((log) => log.sync)
      yield* State.save(state)
      yield* Ref.set(saved, state.step)
    })
    const services = yield* Effect.context<Requirements>()
    yield* Effect.addFinalizer(() =>
      Effect.gen(function*() {
        const state = yield* Ref.get(whole)
        if (state.step === 0 || state.step === (yield* Ref.get(saved))) return
        if (!(yield* Ref.get(torn))) return yield* save(state)
        yield* Effect.logError(`step ${state.step} cannot be saved: the updates of the next one ended half-way`)
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
     * Rollouts and updates. An interruption abandons the step, at whatever it is: only updates that have begun are ended
     * where the step before is in no checkpoint, for the learners then hold neither step.
     */
    const learnStep = Effect.fn("Train.learnStep")(function*(loop: Loop) {
      const { state } = loop
      const { flying, next } = yield* fill(loop)
      const [own, ...ahead] = flying
      if (own === undefined) return undefined
      const collected = yield* Fiber.join(own)
      const isKept = state.step === 0 || (yield* Ref.get(saved)) === state.step
      let hasBegun = false
      const updates = learn(config, state.step, collected.scored, {
        klCoefficient: state.klCoefficient,
        onProgress: options.onProgress,
        beforeUpdates: Effect.andThen(Ref.set(torn, true), Effect.sync(() => (hasBegun = true)))
      })
      const finish = (learned: Learned) =>
        Effect.gen(function*() {
          const metrics = Report.finite({
            ...Metrics.rollouts(collected.scored, collected.failures),
            ...learned.metrics,
            "train/updates": learned.updates,
            "train/skipped_updates": learned.skipped.filter(Boolean).length,
            "train/dropped_trajectories": collected.dropped
          })
          const verdict = EarlyStop.next(
            config.earlyStop,
            state.earlyStop,
            Report.observed(config, state.step + 1, metrics, learned)
          )
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
          yield* Report.logRollouts(following.step, collected, options.logTrajectories)
          yield* Ref.set(whole, following)
          yield* Ref.set(torn, false)
          return { loop: { state: following, rollouts: ahead, cursor: next, stopped: false }, collected, learned }
        })
      return yield* Effect.uninterruptibleMask(Effect.fnUntraced(function*(restore) {
        const fiber = yield* Effect.forkChild(Effect.interruptible(updates), { startImmediately: true })
        const abandoned = Effect.suspend(() => {
          if (hasBegun && !isKept) return Effect.void
          fiber.interruptUnsafe()
          return Effect.asVoid(Fiber.await(fiber))
        })
        yield* Effect.exit(Effect.onInterrupt(restore(Fiber.await(fiber)), () => abandoned))
        return yield* finish(yield* Fiber.join(fiber))
      }))
    })

    /** Evaluation, log line and checkpoint of a step whose updates are made. */
    const reportStep = Effect.fn("Train.reportStep")(function*(state: State.RunState, last: boolean) {
      const evaluation = RunPlan.evaluates(config, state.step, last)
        ? yield* Examine.evaluate(config, state.step, options)
        : null
      const metrics = { ...state.pending?.metrics, ...Report.finite(Examine.metricsOf(evaluation)) }
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
      const failures = made === undefined ? {} : Report.failureCounts(made.collected)
      const retries = (yield* Metric.value(searchRetries)).count - retriesBefore
      yield* RunLog.use((log) => log.event("step", { step: following.step, seconds, retries, failures }))
      const advice = made === undefined ? [] : Report.advise(config, made.collected, contextLength)
      for (const { kind, set, text } of advice) {
        yield* RunLog.use((log) => log.event("advice", { step: following.step, kind, text, set }))
      }
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
        learned: RunVerdict.hasLearned(config, following.step, metrics),
        advice,
        stopped
      }
      const next: Loop = { ...after, state: following, stopped: stopped !== null }
      return [report, next] as const
    })

    const before = RunPlan.evaluates(config, 0, false) && !resumed
      ? Stream.fromEffect(Effect.map(Examine.evaluate(config, 0, options), (evaluation): StepReport => ({
        step: 0,
        steps: config.steps,
        metrics: Report.finite(Examine.metricsOf(evaluation)),
        evaluation,
        failures: evaluation?.failures ?? {},
        trajectories: [],
        seconds: { rollout: 0, prepare: 0, update: 0, total: 0 },
        retries: 0,
        learned: false,
        advice: [],
        stopped: null
      }))).pipe(
        Stream.filter((report) => report.evaluation !== null),
        Stream.tap((report) => RunLog.use((log) => log.metrics({ step: 0, metrics: report.metrics })))
      )
      : Stream.empty

    return Stream.concat(
      before,
      Stream.unfold<Loop, StepReport, TrainError | E, Requirements>({
        state: start,
        rollouts: [],
        cursor: start.cursor,
        stopped: false
      }, step)
    )
  }))
