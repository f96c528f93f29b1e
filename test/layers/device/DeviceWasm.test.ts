import * as DeviceWasm from "../../../src/layers/device/DeviceWasm.ts"
import { deviceContract } from "../../contract/device.ts"

deviceContract("DeviceWasm", DeviceWasm.layer({ threads: 2 }))
deviceContract(
  "DeviceWasm, one thread, plain SIMD",
  DeviceWasm.layer({ threads: 1, relaxedSimd: false, wideVectors: false })
)
