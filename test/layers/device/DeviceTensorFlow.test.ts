import * as NodeServices from "@effect/platform-node/NodeServices"
import { describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as DeviceTensorFlow from "../../../src/layers/device/DeviceTensorFlow.ts"
import { locate } from "../../../src/layers/device/tensorflow/load.ts"
import { deviceContract } from "../../contract/device.ts"

const reason = await Effect.runPromise(
  locate.pipe(
    Effect.as(undefined),
    Effect.catch((error) => Effect.succeed(error.message)),
    Effect.provide(NodeServices.layer)
  )
)

if (reason === undefined) {
  deviceContract("DeviceTensorFlow", DeviceTensorFlow.layer().pipe(Layer.provide(NodeServices.layer)))
} else {
  describe("DeviceTensorFlow", () => {
    it.skip(`is absent: ${reason}`, () => {})
  })
}
