/**
 * What is going on: a line at the end of a terminal that goes when something is printed; where there is no terminal a line on
 * standard error now and then.
 *
 * @since 0.1.0
 */
import { Clock, Console, Effect, Ref, Schedule, type Scope, Terminal } from "effect"
import { TerminalCapabilities } from "effect/cli"
import { time } from "./progress.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface LiveStatus {
  /** Shows a text in the place of the one before, at most ten times a second. */
  readonly show: (text: string) => Effect.Effect<void>
  /** Nothing is going on, or it has been told otherwise. */
  readonly clear: Effect.Effect<void>
}

/** Milliseconds between two texts on a terminal. */
const pause = 100

/** Milliseconds between two lines elsewhere, and before the first. */
const interval = 10_000

const animated = Effect.gen(function*() {
  const terminal = yield* Terminal.Terminal
  const next = yield* Ref.make(0)
  const shown = yield* Ref.make(false)
  const write = (text: string) => Effect.ignore(terminal.display(text))
  const live: LiveStatus = {
    show: Effect.fnUntraced(function*(text) {
      const now = yield* Clock.currentTimeMillis
      if (now < (yield* Ref.get(next))) return
      yield* Ref.set(next, now + pause)
      yield* Ref.set(shown, true)
      const columns = yield* terminal.columns
      yield* write(`\r\u001B[2K${text.slice(0, Math.max(20, columns - 1))}`)
    }),
    clear: Effect.gen(function*() {
      if (yield* Ref.getAndSet(shown, false)) yield* write("\r\u001B[2K")
    })
  }
  return live
})

/** The last text with the time that has gone by since the work on it began, also while that has nothing new to tell. */
const logged = Effect.gen(function*() {
  const current = yield* Ref.make<{ readonly text: string; readonly since: number } | null>(null)
  const tell = Effect.gen(function*() {
    const now = yield* Clock.currentTimeMillis
    const work = yield* Ref.get(current)
    if (work !== null && now - work.since >= interval) {
      yield* Console.error(`${work.text.trimEnd()}  (${time((now - work.since) / 1000)})`)
    }
  })
  yield* tell.pipe(Effect.delay(interval), Effect.repeat(Schedule.forever), Effect.forkScoped)
  const live: LiveStatus = {
    show: (text) =>
      Effect.flatMap(
        Clock.currentTimeMillis,
        (now) => Ref.update(current, (work) => ({ text, since: work?.since ?? now }))
      ),
    clear: Ref.set(current, null)
  }
  return live
})

/**
 * The line of this terminal. Where there is none, what takes longer than ten seconds is told on standard error, at most every
 * ten seconds, until the end of the scope.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<
  LiveStatus,
  never,
  Scope.Scope | Terminal.Terminal
> = Effect.flatMap(
  TerminalCapabilities.TerminalCapabilities,
  ({ canAnimate }): Effect.Effect<LiveStatus, never, Scope.Scope | Terminal.Terminal> => canAnimate ? animated : logged
)
