/**
 * What `search-r1 serve` writes on standard output: what becomes of the server, and a line a request.
 *
 * @since 0.2.0
 */
// What is written here is for people and hashes, not for a decoder.
// @effect-diagnostics preferSchemaOverJson:off
import { Clock, Console, DateTime, Effect, Option, Queue, type Scope } from "effect"
import type { Access } from "../programs/RetrievalServer.ts"

/**
 * How requests are written: not at all, as text, or, and then all that is written, as JSON lines.
 *
 * @category models
 * @since 0.2.0
 */
export type Form = "text" | "json" | "off"

/**
 * @category models
 * @since 0.2.0
 */
export interface ServeLog {
  /** Writes a sentence about the server behind what was written of requests. */
  readonly say: (message: string) => Effect.Effect<void>
  /** Writes of a request, soon. */
  readonly access: (access: Access) => void
}

/** How long a line may wait for others: a write a request would cost as much as the request. */
const gathering = "50 millis"

/**
 * Lines of requests are written together, the last at the end of the scope.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = Effect.fnUntraced(function*(form: Form): Effect.fn.Return<ServeLog, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const lines = yield* Queue.unbounded<string>()
  const now = () => DateTime.formatIso(DateTime.makeUnsafe(clock.currentTimeMillisUnsafe()))
  const flush = Effect.uninterruptible(
    Effect.flatMap(
      Queue.clear(lines),
      (texts) => texts.length === 0 ? Effect.void : Console.log(texts.join("\n"))
    )
  )
  yield* Effect.addFinalizer(() => flush)
  yield* Queue.peek(lines).pipe(
    Effect.andThen(Effect.sleep(gathering)),
    Effect.andThen(flush),
    Effect.forever,
    Effect.forkScoped
  )
  return {
    say: (message) =>
      Effect.suspend(() => {
        Queue.offerUnsafe(lines, form === "json" ? JSON.stringify({ time: now(), message }) : message)
        return flush
      }),
    access: ({ client, method, milliseconds, path, status }) => {
      if (form === "off") return
      const from = Option.getOrElse(client, () => "-")
      const rounded = Number(milliseconds.toFixed(2))
      Queue.offerUnsafe(
        lines,
        form === "json"
          ? JSON.stringify({ time: now(), client: from, method, path, status, milliseconds: rounded })
          : `${now()} ${from} ${method} ${path} ${status} ${rounded} ms`
      )
    }
  }
})
