/**
 * A scheduler that gives the event loop back after a time slice.
 *
 * Effect's own scheduler runs every fiber that is ready before timers and sockets get their turn. With hundreds of
 * rollouts ready at once that is a tenth of a second during which no search can answer and no Ctrl-C is heard. This one
 * stops after `sliceMillis` and takes the rest up in the next turn of the event loop.
 *
 * @since 0.1.0
 */
import { Layer, Scheduler } from "effect"

interface Bucket {
  readonly priority: number
  readonly tasks: Array<() => void>
  head: number
}

const mixed = new Scheduler.MixedScheduler()

class FairDispatcher implements Scheduler.SchedulerDispatcher {
  readonly #sliceMillis: number
  readonly #buckets: Array<Bucket> = []
  #scheduled = false
  #sliceEnd = 0

  constructor(sliceMillis: number) {
    this.#sliceMillis = sliceMillis
  }

  /** True outside a slice too: a fiber that a socket or timer resumed goes on in the next one. */
  get sliceIsOver(): boolean {
    return performance.now() >= this.#sliceEnd
  }

  scheduleTask(task: () => void, priority: number): void {
    this.#bucket(priority).tasks.push(task)
    this.#schedule()
  }

  flush(): void {
    for (let task = this.#next(); task !== undefined; task = this.#next()) task()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    mixed.setImmediate(this.#runSlice)
  }

  #bucket(priority: number): Bucket {
    const at = this.#buckets.findIndex((bucket) => bucket.priority >= priority)
    const found = this.#buckets[at]
    if (found?.priority === priority) return found
    const bucket: Bucket = { priority, tasks: [], head: 0 }
    this.#buckets.splice(at === -1 ? this.#buckets.length : at, 0, bucket)
    return bucket
  }

  #next(): (() => void) | undefined {
    for (const bucket of this.#buckets) {
      const task = bucket.tasks[bucket.head]
      if (task === undefined) continue
      bucket.head++
      if (bucket.head === bucket.tasks.length) {
        bucket.tasks.length = 0
        bucket.head = 0
      }
      return task
    }
    return undefined
  }

  #runSlice = (): void => {
    this.#sliceEnd = performance.now() + this.#sliceMillis
    for (let task = this.#next(); task !== undefined; task = this.#next()) {
      task()
      if (this.sliceIsOver) break
    }
    this.#scheduled = false
    if (this.#buckets.some((bucket) => bucket.tasks.length > 0)) this.#schedule()
  }
}

/**
 * A scheduler all of whose fibers share one queue and one time slice of `sliceMillis` milliseconds a turn of the event
 * loop.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (sliceMillis = 5): Scheduler.Scheduler => {
  const dispatcher = new FairDispatcher(sliceMillis)
  return {
    executionMode: mixed.executionMode,
    // reading the clock costs about as much as an operation: every eighth one asks
    shouldYield: (fiber) => ((fiber.currentOpCount & 7) === 0 && dispatcher.sliceIsOver) || mixed.shouldYield(fiber),
    makeDispatcher: () => dispatcher
  }
}

/**
 * Runs the fibers of a program with time slices of 5 ms. For the edge of a program; not under a test clock, whose
 * adjustments expect fibers to run until they wait.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never> = Layer.sync(Scheduler.Scheduler, () => make())
