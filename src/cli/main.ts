/**
 * The command line: the one place (with `src/cli`, `examples` and tests) where programs meet layers.
 *
 * @since 0.1.0
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Layer, Logger } from "effect"
import { Command } from "effect/cli"
import { commands } from "./commands.ts"
import * as Telemetry from "./telemetry.ts"
import { version } from "./version.ts"

const root = Command.make("search-r1").pipe(
  Command.withDescription("Train language models to reason and search (Search-R1), on Effect."),
  Command.withSubcommands(commands)
)

// standard output belongs to results: `search --json | jq` must not meet a log line
const services = Layer.mergeAll(NodeServices.layer, Layer.succeed(Logger.LogToStderr, true), Telemetry.layer)

/**
 * The first Ctrl-C interrupts, and what was begun is saved; another one ends the process at once. npm hands one key press
 * on as several signals, so those within a second count as one.
 */
let interrupted: number | undefined
process.on("SIGINT", () => {
  const now = performance.now()
  if (interrupted === undefined) interrupted = now
  else if (now - interrupted > 1000) process.exit(130)
})

root.pipe(Command.run({ version }), Effect.provide(services), NodeRuntime.runMain)
