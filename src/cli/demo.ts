/**
 * `search-r1 demo`: the main path on real parts.
 *
 * @since 0.1.0
 */
import { Console } from "effect"
import { Command } from "effect/cli"

export const demo = Command.make("demo", {}, () => Console.log("search-r1"))
