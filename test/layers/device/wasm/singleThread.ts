/** Prints what the device gives in a process that may not start threads. Run by DeviceWasm.test.ts. */
import * as tf from "@tensorflow/tfjs-core"
import { Effect } from "effect"
import * as DeviceWasm from "../../../../src/layers/device/DeviceWasm.ts"
import { Device } from "../../../../src/services/Device.ts"

await Effect.runPromise(
  Effect.gen(function*() {
    const device = yield* Device
    const product = yield* device.run(() => [...tf.matMul(tf.ones([64, 300]), tf.ones([300, 32])).dataSync()])
    process.stdout.write(
      JSON.stringify({ threads: device.capabilities.threads, sum: product.reduce((a, b) => a + b) })
    )
  }).pipe(Effect.provide(DeviceWasm.layer({ threads: 4 })))
)
