/**
 * Training inside an HTTP service: `POST /train` answers with a line of JSON a step. A client that hangs up ends its run, and
 * with it the engine's thread. `PORT=8080 node service.mts`, then `curl -N -X POST localhost:8080/train?steps=10`.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Config, Console, Effect, type FileSystem, Layer, type Path, Result, Schema, Stream } from "effect"
import {
  Assets,
  CheckpointsMemory,
  FairScheduler,
  HeldOut,
  PolicyEngine,
  Pretrained,
  QuestionsMemory,
  type Retriever,
  RetrieverLunr,
  RewardExactMatch,
  RunConfig,
  RunLogMemory,
  Train,
  World
} from "effect-search-r1"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"

const configOf = (steps: number) =>
  RunConfig.resolve({
    algorithm: "grpo",
    steps,
    rollout: {
      prompts: 8,
      groupSize: 8,
      topK: 1,
      maxPromptTokens: 64,
      maxResponseTokens: 24,
      maxObservationTokens: 60,
      maxContextTokens: 384
    },
    kl: { placement: "none" },
    optimizer: { learningRate: 2e-4, schedule: { kind: "constant", warmupRatio: 0 } }
  })

const { questions, world } = HeldOut.exam({ seed: "service", count: 500 })

// shared by all runs: the index is built once, when the service starts
const Search = RetrieverLunr.layer(Stream.fromIterable(World.documents(world)), { cacheDirectory: false })

// made for each run, and released with it
const Run = Layer.mergeAll(
  PolicyEngine.layer({ model: Assets.shippedModel, device: "wasm" }),
  Pretrained.layerTokenizer(Assets.shippedModel),
  RewardExactMatch.layer(),
  QuestionsMemory.layer(questions, { seed: 0 }),
  RunLogMemory.layer(),
  CheckpointsMemory.layer()
)

const Line = Schema.fromJsonString(Schema.Struct({ step: Schema.Int, reward: Schema.NullOr(Schema.Finite) }))

const train = Effect.gen(function*() {
  const request = yield* HttpServerRequest.HttpServerRequest
  const steps = Number(new URL(request.url, "http://localhost").searchParams.get("steps") ?? 10)
  const config = configOf(steps)
  if (Result.isFailure(config)) return HttpServerResponse.text(`${config.failure.message}\n`, { status: 422 })
  yield* Console.log(`training ${steps} steps`)
  const context = yield* Effect.context<FileSystem.FileSystem | Path.Path | Retriever>()
  const lines = Train.run(config.success).pipe(
    Stream.mapEffect(({ metrics, step }) =>
      Schema.encodeEffect(Line)({ step, reward: metrics["reward/total/mean"] ?? null })
    ),
    Stream.map((line) => `${line}\n`),
    Stream.provide(Run),
    Stream.ensuring(Console.log("the run has ended")),
    Stream.encodeText,
    Stream.provideContext(context)
  )
  return HttpServerResponse.stream(lines, { contentType: "application/x-ndjson" })
})

const Server = HttpRouter.serve(HttpRouter.add("POST", "/train", train)).pipe(
  Layer.provide(Layer.unwrap(Effect.map(
    Config.Int("PORT").pipe(Config.withDefault(8080)),
    (port) => NodeHttpServer.layer(createServer, { host: "127.0.0.1", port })
  ))),
  Layer.provide([Search, FairScheduler.layer]),
  Layer.provide(NodeServices.layer)
)

NodeRuntime.runMain(Layer.launch(Server))
