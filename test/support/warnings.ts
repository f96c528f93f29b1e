/** What an effect warns of, as texts in order. */
import { Effect, Logger, References } from "effect"

export const withWarnings = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<{ readonly value: A; readonly warnings: ReadonlyArray<string> }, E, R> =>
  Effect.suspend(() => {
    const warnings: Array<string> = []
    return effect.pipe(
      Effect.map((value) => ({ value, warnings })),
      Effect.provide(Logger.layer([Logger.make(({ message }) => warnings.push(String(message)))])),
      Effect.provideService(References.MinimumLogLevel, "Warn")
    )
  })
