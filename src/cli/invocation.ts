/**
 * How this program was called, to print commands that a person can copy.
 *
 * @since 0.1.0
 */
import { Config, Effect, Option } from "effect"

const scripts: ReadonlySet<string> = new Set(["start", "search-r1"])

/**
 * What stands in front of a subcommand: `search-r1`, or what npm wants when one of this package's scripts runs, or npx.
 *
 * @category getters
 * @since 0.1.0
 */
export const invocation: Effect.Effect<string> = Config.option(Config.String("npm_lifecycle_event")).pipe(
  Effect.map((event) => {
    const name = Option.getOrElse(event, () => "")
    return scripts.has(name) ? "npm run -s search-r1 --" : name === "npx" ? "npx search-r1" : "search-r1"
  }),
  Effect.orElseSucceed(() => "search-r1")
)

/**
 * What begins `start`: npm has a word of its own for it.
 *
 * @category getters
 * @since 0.1.0
 */
export const startCommand: Effect.Effect<string> = Effect.map(
  invocation,
  (command) => command.startsWith("npm ") ? "npm start --" : `${command} start`
)
