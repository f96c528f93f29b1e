/**
 * `search-r1 index install`: gets the optional packages that search uses.
 *
 * @since 0.1.0
 */
import { Console, Effect } from "effect"
import { Argument, Command } from "effect/cli"
import { install } from "../layers/optional/install.ts"
import * as Packages from "../layers/optional/packages.ts"
import * as Flag from "./flag.ts"
import { userError } from "./userError.ts"

const packages = { lance: Packages.lance, transformers: Packages.transformers }

/**
 * @category commands
 * @since 0.1.0
 */
export const indexInstall = Command.make("install", {
  name: Argument.Literals("package", ["lance", "transformers"]).pipe(
    Argument.withDescription(
      `lance: ${Packages.lance.purpose}; transformers: ${Packages.transformers.purpose}`
    )
  ),
  force: Flag.Boolean("force").pipe(
    Flag.withDescription("Install anew what is installed already"),
    Flag.withDefault(false)
  )
}, ({ force, name }) =>
  Effect.gen(function*() {
    const wanted = packages[name]
    const directory = yield* install(wanted, { force, report: (line) => Console.error(`${name}: ${line}`) })
    yield* Console.log(`${wanted.name}@${wanted.version} is ready (${directory}).`)
  }).pipe(Effect.catchTag("PackageUnavailable", (error) => Effect.fail(userError(error))))).pipe(
    Command.withDescription(
      "Installs a package that only some users need, with npm and without install scripts, into the user's cache " +
        `directory: LanceDB (${Packages.lance.megabytes} MB) or Hugging Face's transformers with ONNX Runtime (${Packages.transformers.megabytes} MB).`
    ),
    Command.withShortDescription("Get LanceDB or transformers"),
    Command.withExamples([
      { command: "search-r1 index install lance", description: "For --engine lance" },
      { command: "search-r1 index install transformers", description: "For --embedder transformers" }
    ])
  )
