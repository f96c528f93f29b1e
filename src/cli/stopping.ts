/**
 * How the program ends before its time: Ctrl-C, SIGTERM, and readers who have gone.
 *
 * @since 0.2.0
 */
// Signals and the errors of the standard streams have no counterpart in Effect.
// @effect-diagnostics nodeBuiltinImport:off
import { Cause, Effect, Exit, type Fiber, Runtime } from "effect"
import { writeSync } from "node:fs"
import { constants } from "node:os"
import * as SystemReason from "../layers/systemReason.ts"

let isNormal = false

/**
 * From here on to be stopped is how the program is meant to end, as a server's: the exit code will be 0.
 *
 * @category operations
 * @since 0.2.0
 */
export const normally: Effect.Effect<void> = Effect.sync(() => {
  isNormal = true
})

const waits: Array<() => string> = []

/**
 * What a stop waits for while the work runs, for the answer to whoever asks for one.
 *
 * @category combinators
 * @since 0.2.0
 */
export const waitsFor = (what: string | (() => string)) => {
  const tell = typeof what === "string" ? () => what : what
  return <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.acquireUseRelease(
      Effect.sync(() => waits.push(tell)),
      () => work,
      () => Effect.sync(() => waits.splice(waits.lastIndexOf(tell), 1))
    )
}

/**
 * What a stop of work on a device waits for at most.
 *
 * @category constants
 * @since 0.2.0
 */
export const deviceCall = "what the device computes now"

/**
 * What a stop of learning waits for behind a step, where every so many are saved.
 *
 * @category formatting
 * @since 0.2.0
 */
export const learning = (step: number, savedEvery: number): string =>
  step % savedEvery === 0 ? deviceCall : `${deviceCall} and step ${step} is saved`

/** The answer to a signal. */
const answer = (): string => `stopping after ${waits.at(-1)?.() ?? "the work in hand"}; again to quit now`

/**
 * The exit code of who writes to a reader that has gone: that of a program which the signal SIGPIPE ends.
 *
 * @category constants
 * @since 0.2.0
 */
export const brokenPipeExitCode = 128 + constants.signals.SIGPIPE

/** Milliseconds in which further signals are the same wish: npm hands one key press on as several. */
const sameWish = 300

/** At once, though the streams of Node may be busy or broken. */
const say = (text: string): void => {
  try {
    writeSync(2, `${text}\n`)
  } catch {
    // nobody reads it
  }
}

type Reason =
  | { readonly _tag: "Signal"; readonly code: number; readonly at: number }
  | { readonly _tag: "Stream"; readonly code: number }

const interrupt = (fiber: Fiber.Fiber<unknown, unknown>): void => fiber.interruptUnsafe(fiber.id)

/** Ends the fiber on signals and on broken streams; the result is asked why it was ended. */
const watch = (fiber: Fiber.Fiber<unknown, unknown>) => {
  let reason: Reason | undefined
  const onSignal = (name: "SIGINT" | "SIGTERM") => () => {
    const code = 128 + constants.signals[name]
    const at = performance.now()
    if (reason === undefined) {
      reason = { _tag: "Signal", code, at }
      say(`${name === "SIGINT" ? "\n" : ""}${answer()}`)
      interrupt(fiber)
    } else if (reason._tag === "Stream" || at - reason.at > sameWish) process.exit(code)
  }
  const onBroken = (name: string) => (cause: Error) => {
    if (reason !== undefined) return
    const isGone = "code" in cause && cause.code === "EPIPE"
    reason = { _tag: "Stream", code: isGone ? brokenPipeExitCode : 1 }
    // the fiber may have ended with this very line
    process.exitCode = reason.code
    if (!isGone) say(`${name}: cannot be written: ${SystemReason.of(cause)}`)
    interrupt(fiber)
  }
  const signals = { SIGINT: onSignal("SIGINT"), SIGTERM: onSignal("SIGTERM") }
  process.on("SIGINT", signals.SIGINT)
  process.on("SIGTERM", signals.SIGTERM)
  process.stdout.on("error", onBroken("standard output"))
  process.stderr.on("error", onBroken("standard error"))
  fiber.addObserver(() => {
    process.off("SIGINT", signals.SIGINT)
    process.off("SIGTERM", signals.SIGTERM)
  })
  return () => reason
}

/**
 * Runs an Effect as the program of this process. Ctrl-C and SIGTERM interrupt it, which saves what was begun, and are
 * answered at once; a second one ends the process where it stands. A reader who has gone (`… | head -1`) ends it quietly.
 *
 * @category running
 * @since 0.2.0
 */
export const runMain = Runtime.makeRunMain(({ fiber, teardown }) => {
  const reasonOf = watch(fiber)
  fiber.addObserver((exit) => {
    const reason = reasonOf()
    const stopped = reason !== undefined && Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
    if (stopped) return process.exit(isNormal && reason._tag === "Signal" ? 0 : reason.code)
    teardown(exit, (code) => {
      // a stream that broke while the last lines were written breaks the result
      const last = code === 0 && reason?._tag === "Stream" ? reason.code : code
      if (reason !== undefined || last !== 0) process.exit(last)
    })
  })
})
