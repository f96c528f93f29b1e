/**
 * The engine's thread.
 *
 * @since 0.1.0
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as NodeWorkerRunner from "@effect/platform-node/NodeWorkerRunner"
import { Layer } from "effect"
import { RpcServer } from "effect/rpc"
import { hideDeprecations } from "../../hideDeprecations.ts"
import { EngineRpcs } from "./EngineRpcs.ts"
import * as EngineServer from "./EngineServer.ts"

hideDeprecations()

RpcServer.layer(EngineRpcs).pipe(
  Layer.provide(EngineServer.layer),
  Layer.provide(RpcServer.layerProtocolWorkerRunner),
  Layer.provide([NodeWorkerRunner.layer, NodeServices.layer]),
  Layer.launch,
  NodeRuntime.runMain
)
