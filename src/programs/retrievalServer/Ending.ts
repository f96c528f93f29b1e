/**
 * The end of a server: announced, then waited for.
 *
 * @since 0.2.0
 */
import { Deferred, type Duration, Effect } from "effect"

/**
 * @category models
 * @since 0.2.0
 */
export interface Options {
  readonly onDrain?: ((requests: number) => Effect.Effect<void>) | undefined
  readonly onDrained?: ((left: number) => Effect.Effect<void>) | undefined
  readonly drainNotice?: Duration.Input | undefined
  readonly drainLimit?: Duration.Input | undefined
  readonly drain?: Effect.Effect<void> | undefined
}

/**
 * What a server is answering, and whether it is about to end.
 *
 * @category models
 * @since 0.2.0
 */
export class Ending {
  /** Whether the end is announced. */
  draining = false
  /** Whether it has begun: connections close with their next answer. */
  closing = false
  private readonly active = new Set<Deferred.Deferred<void>>()
  private readonly options: Options

  constructor(options: Options) {
    this.options = options
  }

  /** Counts a request as being answered until it ends in any way. */
  during<A, E, R>(request: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      const done = Deferred.makeUnsafe<void>()
      this.active.add(done)
      const finish = Effect.suspend(() => {
        this.active.delete(done)
        return Deferred.succeed(done, undefined)
      })
      return Effect.ensuring(request, finish)
    })
  }

  /**
   * Announces the end, and lets what is there when it begins be answered. What comes while that is waited for is answered
   * too, and does not prolong the end.
   */
  get drained(): Effect.Effect<void> {
    const { drain, drainLimit, drainNotice, onDrain, onDrained } = this.options
    return Effect.gen({ self: this }, function*() {
      this.draining = true
      yield* onDrain?.(this.active.size) ?? Effect.void
      yield* Effect.sleep(drainNotice ?? "250 millis")
      const taken = [...this.active]
      yield* Effect.forEach(taken, (request) => Deferred.await(request), { discard: true }).pipe(
        Effect.timeoutOption(drainLimit ?? "30 seconds")
      )
      this.closing = true
      const left = taken.filter((request) => this.active.has(request)).length
      yield* drain ?? Effect.void
      yield* onDrained?.(left) ?? Effect.void
    })
  }
}
