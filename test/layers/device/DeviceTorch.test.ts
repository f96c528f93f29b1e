import * as NodeServices from "@effect/platform-node/NodeServices"
import { describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as DeviceTorch from "../../../src/layers/device/DeviceTorch.ts"
import { locate } from "../../../src/layers/device/torch/load.ts"
import { deviceContract } from "../../contract/device.ts"

const reason = await Effect.runPromise(
  locate.pipe(
    Effect.as(undefined),
    Effect.catch((error) => Effect.succeed(error.message)),
    Effect.provide(NodeServices.layer)
  )
)

if (reason === undefined) {
  const layer = (options: DeviceTorch.TorchDeviceOptions) =>
    DeviceTorch.layer(options).pipe(Layer.provide(NodeServices.layer))
  deviceContract("DeviceTorch", layer({ device: "cpu" }))
  deviceContract("DeviceTorch in bfloat16", layer({ device: "cpu", storage: "bfloat16" }), { tolerance: 2e-2 })
} else {
  describe("DeviceTorch", () => {
    it.skip(`is absent: ${reason}`, () => {})
  })
}
