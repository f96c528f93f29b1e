/**
 * A line at the end of a terminal that says what is going on, and goes when something is printed.
 *
 * @since 0.1.0
 */
import { Clock, Effect, Ref, Terminal } from "effect"
import { TerminalCapabilities } from "effect/cli"

/**
 * @category models
 * @since 0.1.0
 */
export interface LiveStatus {
  /** Shows a text in the place of the one before, at most ten times a second. */
  readonly show: (text: string) => Effect.Effect<void>
  readonly clear: Effect.Effect<void>
}

const silent: LiveStatus = { show: () => Effect.void, clear: Effect.void }

/** Milliseconds between two texts. */
const pause = 100

/**
 * The line of this terminal; nothing is shown where there is none.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.gen(function*() {
  const { canAnimate } = yield* TerminalCapabilities.TerminalCapabilities
  if (!canAnimate) return silent
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
