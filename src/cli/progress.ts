/**
 * Progress of long work, for people, on standard error.
 *
 * @since 0.1.0
 */
import { Clock, Console, Effect, Ref, Schedule, type Scope, Stdio } from "effect"
import { plural } from "../domain/Plural.ts"

/**
 * A duration in the largest two of hours, minutes and seconds.
 *
 * @category formatting
 * @since 0.1.0
 */
export const time = (seconds: number): string => {
  const whole = Math.max(0, Math.round(seconds))
  return whole < 60 ? `${whole} s` : whole < 3600
    ? `${Math.floor(whole / 60)} m ${whole % 60} s`
    : `${Math.floor(whole / 3600)} h ${Math.floor(whole % 3600 / 60)} m`
}

/**
 * How many times the rate's unit happens in a second, or how long one takes where that is seldom.
 *
 * @category formatting
 * @since 0.2.0
 */
export const rateText = (perSecond: number): string =>
  perSecond >= 10 || perSecond === 0
    ? `${perSecond.toFixed(0)}/s`
    : perSecond >= 0.1
    ? `${perSecond.toFixed(1)}/s`
    : `${time(1 / perSecond)} each`

/**
 * Milliseconds between two lines of progress: a log keeps every one of them, a terminal is being looked at.
 *
 * @category getters
 * @since 0.2.0
 */
export const interval: Effect.Effect<number> = Effect.gen(function*() {
  const stdio = yield* Effect.serviceOption(Stdio.Stdio)
  return stdio._tag === "Some" && (yield* stdio.value.stderrIsTerminal) ? 3000 : 10_000
})

/**
 * What work reports to. `tick` counts one unit more, `advance` several; `reached` sets the count, with something to say
 * about it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Progress {
  readonly tick: Effect.Effect<void>
  readonly advance: (units: number) => Effect.Effect<void>
  readonly reached: (units: number, note?: string) => Effect.Effect<void>
}

/**
 * Counts finished units and tells, every three seconds on a terminal and every ten in a log, how many there are, how many a
 * second and how long the rest will take. Short work stays silent, and so does work that has nothing new to tell.
 *
 * @category constructors
 * @since 0.1.0
 */
export const progress = Effect.fnUntraced(function*(options: {
  /** What one is. */
  readonly unit: string
  /** What several are, where that is not the unit with an s. */
  readonly units?: string | undefined
  readonly total?: number | undefined
}): Effect.fn.Return<Progress, never, Scope.Scope> {
  const state = yield* Ref.make({ done: 0, first: 0, note: "" })
  let told = ""
  const started = yield* Clock.currentTimeMillis
  const tell = Effect.gen(function*() {
    const { done, first, note } = yield* Ref.get(state)
    const news = `${done} ${note}`
    if (news === told) return
    told = news
    const seconds = ((yield* Clock.currentTimeMillis) - started) / 1000
    const rate = (done - first) / seconds
    const counted = options.total === undefined
      ? plural(done, options.unit, options.units)
      : `${done.toLocaleString("en-US")} of ${plural(options.total, options.unit, options.units)}`
    const left = options.total === undefined ? "" : `, ${time((options.total - done) / rate)} left`
    const facts = [...(note === "" ? [] : [note]), ...(rate > 0 ? [`${rateText(rate)}${left}`] : [])]
    yield* Console.error([counted, ...facts].join(" · "))
  })
  yield* tell.pipe(Effect.delay(yield* interval), Effect.repeat(Schedule.forever), Effect.forkScoped)
  const advance = (units: number) => Ref.update(state, (now) => ({ ...now, done: now.done + units }))
  return {
    tick: advance(1),
    advance,
    // what a resumed run had done before says nothing about its speed now
    reached: (units, note = "") =>
      Ref.update(state, ({ done, first }) => ({ done: units, first: done === 0 ? units - 1 : first, note }))
  }
})
