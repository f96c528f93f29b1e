/**
 * Running other programs.
 *
 * @since 0.1.0
 */
import { Effect, Stream } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"

/**
 * How a program ended: `found` is false where there is no such program.
 *
 * @category models
 * @since 0.1.0
 */
export interface Outcome {
  readonly found: boolean
  readonly code: number
  readonly output: string
}

/**
 * Runs a program to its end and keeps what it wrote on either stream.
 *
 * @category combinators
 * @since 0.1.0
 */
export const command = (
  program: string,
  args: ReadonlyArray<string>,
  options?: { readonly cwd?: string | undefined; readonly env?: Record<string, string> | undefined }
): Effect.Effect<Outcome, never, ChildProcessSpawner.ChildProcessSpawner> =>
  Effect.gen(function*() {
    const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
    const handle = yield* spawner.spawn(
      ChildProcess.make(program, args, {
        stdin: "ignore",
        extendEnv: true,
        ...(options?.cwd !== undefined && { cwd: options.cwd }),
        ...(options?.env !== undefined && { env: options.env })
      })
    )
    const output = yield* handle.all.pipe(Stream.decodeText(), Stream.mkString)
    return { found: true, code: Number(yield* handle.exitCode), output }
  }).pipe(
    Effect.scoped,
    Effect.catch((error) => Effect.succeed({ found: false, code: -1, output: error.message }))
  )

/**
 * The last lines of what a program wrote, for an error message.
 *
 * @category getters
 * @since 0.1.0
 */
export const tail = (output: string, lines = 6): string => output.trim().split("\n").slice(-lines).join("\n  ")
