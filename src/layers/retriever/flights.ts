/**
 * Searches under way, shared by everyone who asks the same: what batching and caching are made of.
 *
 * Equal searches share one flight, flights share one call of the engine. A waiter that is interrupted leaves alone; the
 * call is interrupted when its last waiter leaves. A failure reaches those who wait for it and nobody else.
 *
 * @since 0.1.0
 */
import { Cause, Deferred, type Duration, Effect, Exit, Fiber, type Scope } from "effect"
import type { ScoredDocument } from "../../domain/Document.ts"
import {
  type Retriever,
  type RetrieverError,
  RetrieverUnavailable,
  RetrieverUnexpectedShape,
  type SearchOptions
} from "../../services/Retriever.ts"

type Documents = ReadonlyArray<ScoredDocument>

interface Flight {
  readonly key: string
  readonly query: string
  readonly landed: Deferred.Deferred<Documents, RetrieverError>
  readonly group: Group
  waiters: number
}

interface Group {
  readonly topK: number
  readonly full: Deferred.Deferred<void>
  flights: Array<Flight>
  waiters: number
  sent: boolean
  fiber: Fiber.Fiber<unknown, unknown> | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly inner: Retriever["Service"]
  /** Where calls run: they outlive the fiber that started them. */
  readonly scope: Scope.Scope
  /** How long a call waits for company; without it each `searchMany` sends what nobody else has sent at once. */
  readonly window?: Duration.Input | undefined
  /** Queries of one call at most; a full call starts at once. */
  readonly maxBatch: number
  /** Told of each success before its waiters are. */
  readonly onSuccess?: ((query: string, topK: number, documents: Documents) => void) | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export type SearchMany = Retriever["Service"]["searchMany"]

/**
 * Makes a `searchMany` that shares its searches.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = ({ inner, maxBatch, onSuccess, scope, window }: Options): SearchMany => {
  const flights = new Map<string, Flight>()
  /** The group of each `topK` that still takes flights. */
  const open = new Map<number, Group>()

  const forget = (flight: Flight): void => {
    if (flights.get(flight.key) === flight) flights.delete(flight.key)
  }

  const call = (group: Group): Effect.Effect<ReadonlyArray<Documents>, RetrieverError> => {
    group.sent = true
    if (open.get(group.topK) === group) open.delete(group.topK)
    const [first] = group.flights
    return group.flights.length === 1 && first !== undefined
      ? Effect.map(inner.search(first.query, { topK: group.topK }), (documents) => [documents])
      : inner.searchMany(group.flights.map((flight) => flight.query), { topK: group.topK })
  }

  const land = (group: Group, exit: Exit.Exit<ReadonlyArray<Documents>, RetrieverError>): void => {
    group.sent = true
    if (open.get(group.topK) === group) open.delete(group.topK)
    for (const [index, flight] of group.flights.entries()) {
      forget(flight)
      if (Exit.isSuccess(exit)) {
        const documents = exit.value[index]
        if (documents === undefined) {
          const reason = `${exit.value.length} results for ${group.flights.length} queries`
          Deferred.doneUnsafe(
            flight.landed,
            Exit.fail(new RetrieverUnexpectedShape({ retriever: inner.name, reason }))
          )
        } else {
          onSuccess?.(flight.query, group.topK, documents)
          Deferred.doneUnsafe(flight.landed, Exit.succeed(documents))
        }
      } else {
        // only the end of the scope interrupts a call that somebody waits for
        const closed = new RetrieverUnavailable({ retriever: inner.name, reason: "it was closed during the search" })
        Deferred.doneUnsafe(
          flight.landed,
          Cause.hasInterruptsOnly(exit.cause) ? Exit.fail(closed) : Exit.failCause(exit.cause)
        )
      }
    }
  }

  const launch = (group: Group): Effect.Effect<void> => {
    const boarding = window === undefined
      ? Effect.void
      : Deferred.await(group.full).pipe(Effect.timeoutOption(window))
    return Effect.andThen(boarding, Effect.suspend(() => call(group))).pipe(
      Effect.forkIn(scope, { startImmediately: true }),
      Effect.map((fiber) => {
        group.fiber = fiber
        fiber.addObserver((exit) => land(group, exit))
      })
    )
  }

  /** Boards the flights for `queries` and returns the groups that have to be launched. */
  const board = (queries: ReadonlyArray<string>, topK: number) => {
    const boarded: Array<Flight> = []
    const created: Array<Group> = []
    let own: Group | undefined
    const seats = (): Group => {
      const group = window === undefined ? own : open.get(topK)
      if (group !== undefined && group.flights.length < maxBatch) return group
      const fresh: Group = {
        topK,
        full: Deferred.makeUnsafe(),
        flights: [],
        waiters: 0,
        sent: false,
        fiber: undefined
      }
      if (window === undefined) own = fresh
      else open.set(topK, fresh)
      created.push(fresh)
      return fresh
    }
    for (const query of queries) {
      const key = `${topK} ${query}`
      let flight = flights.get(key)
      if (flight === undefined) {
        const group = seats()
        flight = { key, query, landed: Deferred.makeUnsafe(), group, waiters: 0 }
        flights.set(key, flight)
        group.flights.push(flight)
        if (window !== undefined && group.flights.length === maxBatch) {
          open.delete(topK)
          Deferred.doneUnsafe(group.full, Exit.void)
        }
      }
      flight.waiters += 1
      flight.group.waiters += 1
      boarded.push(flight)
    }
    return { boarded, created }
  }

  const leave = (boarded: ReadonlyArray<Flight>): Effect.Effect<void> =>
    Effect.suspend(() => {
      const abandoned: Array<Fiber.Fiber<unknown, unknown>> = []
      for (const flight of boarded) {
        const group = flight.group
        flight.waiters -= 1
        group.waiters -= 1
        if (flight.waiters === 0) {
          forget(flight)
          if (!group.sent) group.flights = group.flights.filter((other) => other !== flight)
        }
        if (group.waiters === 0) {
          group.sent = true
          if (open.get(group.topK) === group) open.delete(group.topK)
          if (group.fiber !== undefined) abandoned.push(group.fiber)
        }
      }
      return abandoned.length === 0 ? Effect.void : Fiber.interruptAll(abandoned)
    })

  return (queries, { topK }: SearchOptions) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        const { boarded, created } = board(queries, topK)
        return Effect.forEach(created, launch, { discard: true }).pipe(
          Effect.andThen(restore(Effect.forEach(boarded, (flight) => Deferred.await(flight.landed)))),
          Effect.onExit(() => leave(boarded))
        )
      })
    )
}
