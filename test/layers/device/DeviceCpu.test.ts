import * as DeviceCpu from "../../../src/layers/device/DeviceCpu.ts"
import { deviceContract } from "../../contract/device.ts"

deviceContract("DeviceCpu", DeviceCpu.layer())
