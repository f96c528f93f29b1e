/**
 * The command line: the one place (with `src/cli`, `examples` and tests) where programs meet layers.
 *
 * @since 0.1.0
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Layer, Logger } from "effect"
import { Command } from "effect/cli"
import { commands } from "./commands.ts"
import * as Help from "./help.ts"
import * as Stopping from "./stopping.ts"
import * as Telemetry from "./telemetry.ts"
import { version } from "./version.ts"

const root = Command.make("search-r1").pipe(
  Command.withDescription("Train language models to reason and search (Search-R1), on Effect."),
  Command.withSubcommands(commands)
)

// standard output belongs to results: `search --json | jq` must not meet a log line
const services = Layer.mergeAll(
  Help.layer.pipe(Layer.provideMerge(NodeServices.layer)),
  Layer.succeed(Logger.LogToStderr, true),
  Telemetry.layer
)

root.pipe(Command.run({ version }), Effect.provide(services), Effect.tapError(Help.report), Stopping.runMain)
