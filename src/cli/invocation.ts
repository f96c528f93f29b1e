/**
 * How this program was called, to print commands that a person can copy.
 *
 * @since 0.1.0
 */
import { Config, Effect } from "effect"

const scripts: ReadonlySet<string> = new Set(["start", "search-r1"])

const programs: ReadonlySet<string> = new Set(["search-r1", "effect-search-r1"])

/**
 * What tells how a process was started.
 *
 * @category models
 * @since 0.1.0
 */
export interface Called {
  /** The file that Node was given. */
  readonly program: string
  /** npm's name of the script that runs, `npx` under npx. */
  readonly event: string
  /** The package whose script it is. */
  readonly owner: string
}

/**
 * What stands in front of a subcommand: a script of this package under npm, npx where the program is a project's or npx
 * has fetched it, its bare name where it is on the PATH.
 *
 * @category getters
 * @since 0.1.0
 */
export const invocationOf = ({ event, owner, program }: Called): string => {
  if (owner === "effect-search-r1" && scripts.has(event)) return "npm run -s search-r1 --"
  const parts = program.split(/[\\/]/)
  const last = parts.at(-1) ?? ""
  const name = programs.has(last) ? last : "search-r1"
  // npx looks for a package of the name where no project has the program
  if (parts.includes("_npx")) return "npx effect-search-r1"
  return event === "npx" || parts.at(-2) === ".bin" ? `npx ${name}` : name
}

/** A command of this program in a text: no part of a path or a longer word, and not begun as it was called already. */
const written = /(?<![^\s"'`(])(?<!npx )(?<!run -s )search-r1(?= (?:--)?[a-z])/g

/**
 * A text in which commands of this program, `search-r1 …`, begin as the program was called: the message of a layer, which
 * knows nothing of that.
 *
 * @category formatting
 * @since 0.2.0
 */
export const asCalled = (command: string, text: string): string => text.replaceAll(written, () => command)

const variable = (name: string) => Config.String(name).pipe(Config.withDefault(""), Effect.orElseSucceed(() => ""))

/**
 * {@link invocationOf} for this process.
 *
 * @category getters
 * @since 0.1.0
 */
export const invocation: Effect.Effect<string> = Effect.gen(function*() {
  return invocationOf({
    program: process.argv[1] ?? "",
    event: yield* variable("npm_lifecycle_event"),
    owner: yield* variable("npm_package_name")
  })
})

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
