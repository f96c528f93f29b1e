/**
 * Progress of long work, for people, on standard error.
 *
 * @since 0.1.0
 */
import { Clock, Console, Effect, Ref, Schedule, type Scope } from "effect"

/**
 * Counts finished units and tells every `every` how many there are and how many a second; short work stays silent.
 *
 * @category constructors
 * @since 0.1.0
 */
export const progress = Effect.fnUntraced(function*(options: {
  readonly unit: string
  readonly total?: number | undefined
}): Effect.fn.Return<
  { readonly tick: Effect.Effect<void>; readonly advance: (units: number) => Effect.Effect<void> },
  never,
  Scope.Scope
> {
  const count = yield* Ref.make(0)
  const started = yield* Clock.currentTimeMillis
  const tell = Effect.gen(function*() {
    const done = yield* Ref.get(count)
    const seconds = ((yield* Clock.currentTimeMillis) - started) / 1000
    const rate = done / seconds
    const of = options.total === undefined ? "" : ` of ${options.total}`
    const left = options.total === undefined || rate === 0
      ? ""
      : `, ${Math.ceil((options.total - done) / rate)} s left`
    yield* Console.error(`${done}${of} ${options.unit} · ${rate.toFixed(rate < 10 ? 1 : 0)}/s${left}`)
  })
  yield* tell.pipe(Effect.delay("3 seconds"), Effect.repeat(Schedule.forever), Effect.forkScoped)
  const advance = (units: number) => Ref.update(count, (done) => done + units)
  return { tick: advance(1), advance }
})
