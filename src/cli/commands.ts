/**
 * All subcommands in the order in which `--help` lists them.
 *
 * @since 0.1.0
 */
import { demo } from "./demo.ts"
import { search } from "./search.ts"

export const commands = [demo, search] as const
