/**
 * Long computations in pieces, so that a thread can hear of other things between two of them.
 *
 * A computation is a generator that yields wherever it may be left for a moment. Its tensors live on in the meantime: the
 * scopes that tfjs keeps account of them in are taken off its stack and put back.
 *
 * @since 0.2.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { Option } from "effect"

/**
 * A computation that can be left at each `yield`.
 *
 * @category models
 * @since 0.2.0
 */
export type Pieces<A> = Generator<void, A, void>

/**
 * Runs a computation to its end in one go.
 *
 * @category combinators
 * @since 0.2.0
 */
export const whole = <A>(pieces: Pieces<A>): A => {
  let next = pieces.next()
  while (next.done !== true) next = pieces.next()
  return next.value
}

/**
 * `tf.tidy` of a computation in pieces: what it made and does not return is disposed of at its end, however that comes.
 *
 * @category combinators
 * @since 0.2.0
 */
export function* tidied<A extends tf.TensorContainer | object>(body: () => Pieces<A>): Pieces<A> {
  const engine = tf.engine()
  let result: A | undefined
  engine.startScope("pieces")
  try {
    result = yield* body()
    return result
  } finally {
    engine.endScope(isContainer(result) ? result : undefined)
  }
}

const isContainer = (value: unknown): value is tf.TensorContainer => typeof value === "object" && value !== null

type Scopes = ReturnType<typeof tf.engine>["state"]["scopeStack"]

/** Milliseconds that a computation keeps the thread before it is left at its next `yield`. */
const slice = 100

/**
 * A computation under way.
 *
 * @category models
 * @since 0.2.0
 */
export class Work<A> {
  readonly #pieces: Pieces<A>
  readonly #name: string
  /** What is on the stack while the computation runs and off it while it waits; none before it begins. */
  #scopes: Scopes | undefined

  constructor(pieces: Pieces<A>, name: string) {
    this.#pieces = pieces
    this.#name = name
  }

  #resume(): number {
    const engine = tf.engine()
    const below = engine.state.scopeStack.length
    if (this.#scopes === undefined) engine.startScope(this.#name)
    else this.#stack([...engine.state.scopeStack, ...this.#scopes])
    return below
  }

  #suspend(below: number): void {
    const { scopeStack } = tf.engine().state
    this.#scopes = scopeStack.slice(below)
    this.#stack(scopeStack.slice(0, below))
  }

  #stack(scopes: Scopes): void {
    // the engine's own type knows no null, which is what it has where no scope is open
    Object.assign(tf.engine().state, { scopeStack: scopes, activeScope: scopes.at(-1) ?? null })
  }

  #end(below: number): void {
    const engine = tf.engine()
    while (engine.state.scopeStack.length > below) engine.endScope()
    this.#scopes = []
  }

  /**
   * Goes on for a while; gives the result at the end. `keep` gets it first, before everything else that was made is disposed
   * of.
   */
  advance(keep: (result: A) => void): Option.Option<A> {
    const below = this.#resume()
    const until = performance.now() + slice
    let waits = false
    try {
      while (true) {
        const next = this.#pieces.next()
        if (next.done === true) {
          keep(next.value)
          return Option.some(next.value)
        }
        if (performance.now() >= until) {
          waits = true
          return Option.none()
        }
      }
    } finally {
      if (waits) this.#suspend(below)
      else this.#end(below)
    }
  }

  /** Gives up: everything that was made is disposed of. */
  abandon(): void {
    if (this.#scopes === undefined) return
    const below = this.#resume()
    const abandoned = new Error("the computation was given up")
    try {
      this.#pieces.throw(abandoned)
    } catch (error) {
      if (error !== abandoned) throw error
    } finally {
      this.#end(below)
    }
  }
}
