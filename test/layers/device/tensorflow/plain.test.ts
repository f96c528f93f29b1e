/** TensorFlow without operations of our own, as a binding that was downloaded ready has it. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as DeviceTensorFlow from "../../../../src/layers/device/DeviceTensorFlow.ts"
import { findTensorFlow } from "../../../../src/layers/device/tensorflow/backend.ts"
import { locate } from "../../../../src/layers/device/tensorflow/load.ts"
import { Device } from "../../../../src/services/Device.ts"
import { deviceContract } from "../../../contract/device.ts"

const reason = await Effect.runPromise(
  locate.pipe(
    Effect.as(undefined),
    Effect.catch((error) => Effect.succeed(error.message)),
    Effect.provide(NodeServices.layer)
  )
)

const layer = DeviceTensorFlow.layer({ operations: false }).pipe(Layer.provide(NodeServices.layer))

if (reason === undefined) {
  deviceContract("DeviceTensorFlow without own operations", layer)
  describe("DeviceTensorFlow without own operations", () => {
    it.effect("has no attention through block tables, and records all the same", () =>
      Effect.gen(function*() {
        const { capabilities } = yield* Device
        assert.isFalse(capabilities.fused.has("SrPagedAttention"))
        assert.isTrue(capabilities.fused.has("SrRmsNormGrad"))
        assert.isDefined(findTensorFlow()?.graphs)
      }).pipe(Effect.provide(layer)))
  })
} else {
  describe("DeviceTensorFlow without own operations", () => {
    it.skip(`is absent: ${reason}`, () => {})
  })
}
