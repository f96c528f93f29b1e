/**
 * Files of one JSON record a line, which a crash may have cut short.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, Option, type PlatformError, Stream } from "effect"

const NEWLINE = 10

/**
 * A whole line without its newline; `start` is the byte at which it begins and `number` counts from 1.
 *
 * @category models
 * @since 0.1.0
 */
export interface Line {
  readonly text: string
  readonly number: number
  readonly start: number
}

interface Pending {
  readonly parts: Array<Uint8Array>
  start: number
  position: number
  number: number
}

const join = (parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const [only] = parts
  if (parts.length === 1 && only !== undefined) return only
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let offset = 0
  for (const part of parts) {
    whole.set(part, offset)
    offset += part.length
  }
  return whole
}

/**
 * The whole lines of a stream of bytes. What follows the last newline is being written, or was never finished: it is left
 * out.
 *
 * @category reading
 * @since 0.1.0
 */
export const wholeLines = <E, R>(bytes: Stream.Stream<Uint8Array, E, R>): Stream.Stream<Line, E, R> =>
  Stream.suspend(() => {
    const decoder = new TextDecoder()
    return Stream.mapAccum(
      bytes,
      (): Pending => ({ parts: [], start: 0, position: 0, number: 1 }),
      (pending, chunk) => {
        const lines: Array<Line> = []
        let from = 0
        for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
          pending.parts.push(chunk.subarray(from, end))
          lines.push({ text: decoder.decode(join(pending.parts)), number: pending.number, start: pending.start })
          pending.parts.length = 0
          from = end + 1
          pending.start = pending.position + from
          pending.number += 1
        }
        if (from < chunk.length) pending.parts.push(chunk.slice(from))
        pending.position += chunk.length
        return [pending, lines] as const
      }
    )
  })

const CHUNK = 65_536

/**
 * Removes what follows the last newline of a file and answers how many bytes that were. A missing file is whole.
 *
 * @category writing
 * @since 0.1.0
 */
export const dropTornTail = Effect.fnUntraced(function*(
  path: string
): Effect.fn.Return<number, PlatformError.PlatformError, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  if (!(yield* fs.exists(path))) return 0
  return yield* Effect.scoped(Effect.gen(function*() {
    const file = yield* fs.open(path, { flag: "r+" })
    const size = Number((yield* file.stat).size)
    let whole = size
    while (whole > 0) {
      const from = Math.max(0, whole - CHUNK)
      yield* file.seek(BigInt(from), "start")
      const bytes = Option.getOrElse(yield* file.readAlloc(whole - from), () => new Uint8Array())
      const newline = bytes.lastIndexOf(NEWLINE)
      if (newline !== -1) {
        whole = from + newline + 1
        break
      }
      whole = from
    }
    if (whole < size) yield* file.truncate(whole)
    return size - whole
  }))
})
