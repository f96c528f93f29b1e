/**
 * Questions that are in memory already.
 *
 * @since 0.1.0
 */
import { Effect, Layer, Stream } from "effect"
import * as Prng from "../../domain/Prng.ts"
import type { Question } from "../../domain/Question.ts"
import { type Positioned, Questions } from "../../services/Questions.ts"

/**
 * `seed` shuffles every epoch in an order of its own; without one every epoch has the order of the array.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly seed?: number | string | undefined
}

/**
 * The service over an array of questions.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (questions: ReadonlyArray<Question>, options?: Options): Questions["Service"] => {
  const order = (epoch: number): ReadonlyArray<Question> =>
    options?.seed === undefined
      ? questions
      : Prng.shuffle(Prng.make(`${options.seed}/questions/${epoch}`), questions)
  const epochFrom = (epoch: number, offset: number): Stream.Stream<Positioned> =>
    Stream.suspend(() =>
      Stream.fromIterable(
        order(epoch).slice(offset).map((question, index): Positioned => {
          const taken = offset + index + 1
          return {
            question,
            next: taken === questions.length ? { epoch: epoch + 1, offset: 0 } : { epoch, offset: taken }
          }
        })
      )
    )
  return Questions.of({
    size: Effect.succeed(questions.length),
    all: Stream.fromIterable(questions),
    from: ({ epoch, offset }) =>
      questions.length === 0
        ? Stream.empty
        : Stream.concat(
          epochFrom(epoch, offset),
          Stream.iterate(epoch + 1, (next) => next + 1).pipe(Stream.flatMap((next) => epochFrom(next, 0)))
        )
  })
}

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (questions: ReadonlyArray<Question>, options?: Options): Layer.Layer<Questions> =>
  Layer.succeed(Questions, make(questions, options))
