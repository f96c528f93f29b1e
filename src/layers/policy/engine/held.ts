/**
 * Computations in pieces whose tensors are used and disposed of.
 *
 * @since 0.2.0
 */
import { Effect } from "effect"
import type { Device, DeviceError } from "../../../services/Device.ts"
import type { Pieces } from "../../device/pieces.ts"
import { disposeTensors } from "../../device/tfjs.ts"

/**
 * Computes on the device when it is this computation's turn, uses the result while nothing else computes in pieces, and
 * disposes of every tensor in it. Can be interrupted at any of its pieces.
 *
 * @category combinators
 * @since 0.2.0
 */
export const held = <A, B, E, R>(
  device: Device["Service"],
  compute: () => Pieces<A>,
  use: (result: A) => Effect.Effect<B, E, R>
): Effect.Effect<B, E | DeviceError, R> =>
  device.turn(Effect.suspend(() => {
    // known as soon as it is computed: an interruption may come before anyone was handed the result
    const results: Array<A> = []
    function* kept() {
      const result = yield* compute()
      results.push(result)
      return result
    }
    return Effect.ensuring(
      Effect.flatMap(device.pieces(kept), use),
      Effect.suspend(() => Effect.ignore(device.run(() => disposeTensors(results))))
    )
  }))
