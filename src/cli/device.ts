/**
 * `search-r1 device`: what this machine can compute on, and how to get more.
 *
 * @since 0.1.0
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Console, Effect, Option, Schema } from "effect"
import { Command } from "effect/cli"
import { fusedKernels } from "../layers/device/ops/kernel.ts"
import { install as installTensorFlow } from "../layers/device/tensorflow/install/install.ts"
import { install as installTorch } from "../layers/device/torch/install/install.ts"
import { Device } from "../services/Device.ts"
import { deviceNames, namedDevice } from "./deviceFlag.ts"
import { devicePlan } from "./devicePlan.ts"
import * as Flag from "./flag.ts"
import { userError } from "./userError.ts"

const purpose = {
  wasm: "WebAssembly on all cores, with nothing to install (the default)",
  tensorflow: "TensorFlow through @tensorflow/tfjs-node",
  torch: "PyTorch's library, on the processor or an NVIDIA card in bfloat16",
  cpu: "plain JavaScript, for tests of tiny models"
}

const describe = Effect.fnUntraced(function*(name: typeof deviceNames[number]) {
  const found = yield* Effect.result(Effect.provide(Device, namedDevice(name)))
  const head = `${name.padEnd(12)}${purpose[name]}`
  if (found._tag === "Failure") {
    const { mend, reason } = found.failure
    return {
      name,
      available: false,
      text: `${head}\n${" ".repeat(12)}not available: ${reason}\n${" ".repeat(12)}${mend}`
    }
  }
  const { capabilities } = found.success
  const fused = capabilities.fused.size === fusedKernels.length ? "all" : `${capabilities.fused.size}`
  const facts = [
    capabilities.storage,
    `${capabilities.threads} thread${capabilities.threads === 1 ? "" : "s"}`,
    `${fused} of ${fusedKernels.length} fused kernels`
  ]
  return { name, available: true, text: `${head}\n${" ".repeat(12)}available: ${facts.join(", ")}` }
})

const encodeLine = Schema.encodeEffect(
  Schema.fromJsonString(Schema.Array(Schema.Struct({ name: Schema.String, available: Schema.Boolean })))
)

const list = Command.make("list", {
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("Print one JSON line: [{\"name\",\"available\"}]"),
    Flag.withDefault(false)
  )
}, ({ json }) =>
  Effect.gen(function*() {
    const devices = yield* Effect.forEach(deviceNames, describe)
    yield* Console.log(json ? yield* encodeLine(devices) : devices.map(({ text }) => text).join("\n"))
  })).pipe(
    Command.withDescription("Show the devices that work on this machine, and why others do not."),
    Command.withShortDescription("Show what works here")
  )

const installTensorFlowCommand = Command.make("tensorflow", {
  force: Flag.Boolean("force").pipe(
    Flag.withDescription("Install anew what is installed already"),
    Flag.withDefault(false)
  ),
  gpu: Flag.Boolean("gpu").pipe(
    Flag.withDescription("For an NVIDIA card, against a TensorFlow with CUDA that pip has installed"),
    Flag.withDefault(false)
  ),
  from: Flag.Directory("from").pipe(
    Flag.withDescription("Use the TensorFlow in this directory, such as …/site-packages/tensorflow"),
    Flag.optional
  )
}, ({ force, from, gpu }) =>
  Effect.gen(function*() {
    const report = (line: string) => Console.error(`tensorflow: ${line}`)
    const { directory, summary } = yield* installTensorFlow({ force, gpu, from: Option.getOrUndefined(from), report })
    yield* Console.log(`The device tensorflow ${summary} (${directory}).`)
  }).pipe(
    Effect.catchTag("InstallError", (error) => Effect.fail(userError(error))),
    Effect.provide(NodeHttpClient.layerUndici)
  )).pipe(
    Command.withDescription(
      "Its npm package's own download where that can be reached, otherwise its binding is compiled against the " +
        "TensorFlow of PyPI (some 300 MB are downloaded; it takes a minute and needs Python with pip and a C++ " +
        "compiler). All of it goes into the user's cache directory."
    ),
    Command.withShortDescription("TensorFlow through @tensorflow/tfjs-node"),
    Command.withExamples([
      { command: "search-r1 device install tensorflow", description: "Install what fits this machine" },
      {
        command: "search-r1 device install tensorflow --from /opt/venv/lib/python3.12/site-packages/tensorflow",
        description: "Use a TensorFlow that is there already"
      }
    ])
  )

const installTorchCommand = Command.make("torch", {
  force: Flag.Boolean("force").pipe(
    Flag.withDescription("Build anew what is built already"),
    Flag.withDefault(false)
  ),
  gpu: Flag.Boolean("gpu").pipe(
    Flag.withDescription("Build for NVIDIA cards, even where PyTorch sees none now"),
    Flag.withDefault(false)
  ),
  python: Flag.String("python").pipe(
    Flag.withDescription("The Python whose PyTorch is used (default python3)"),
    Flag.optional
  ),
  from: Flag.Directory("from").pipe(
    Flag.withDescription("Use the PyTorch in this directory, such as libtorch or …/site-packages/torch"),
    Flag.optional
  )
}, ({ force, from, gpu, python }) =>
  Effect.gen(function*() {
    const report = (line: string) => Console.error(`torch: ${line}`)
    const { directory, summary } = yield* installTorch({
      force,
      gpu,
      python: Option.getOrUndefined(python),
      from: Option.getOrUndefined(from),
      report
    })
    yield* Console.log(`The device torch ${summary} (${directory}).`)
  }).pipe(
    Effect.catchTag("TorchInstallError", (error) => Effect.fail(userError(error)))
  )).pipe(
    Command.withDescription(
      "Compiles a small addon against a PyTorch (2.8 or later) that is on this machine, for the processor or, where " +
        "PyTorch sees a card, for CUDA. It takes a minute, downloads nothing, and needs a C++ compiler. Run it again " +
        "when that PyTorch changes."
    ),
    Command.withShortDescription("PyTorch's library, on the processor or an NVIDIA card"),
    Command.withExamples([
      { command: "search-r1 device install torch", description: "Build against the PyTorch of python3" },
      {
        command: "search-r1 device install torch --python ~/venv/bin/python",
        description: "Build against the PyTorch of another Python"
      },
      { command: "search-r1 device install torch --from ~/libtorch --gpu", description: "Build against a libtorch" }
    ])
  )

const install = Command.make("install").pipe(
  Command.withDescription("Make a device work here."),
  Command.withSubcommands([installTensorFlowCommand, installTorchCommand])
)

/**
 * @category commands
 * @since 0.1.0
 */
export const device = Command.make("device").pipe(
  Command.withDescription("Show and install the devices that models are computed on."),
  Command.withShortDescription("Show and install compute devices"),
  Command.withSubcommands([list, install, devicePlan])
)
