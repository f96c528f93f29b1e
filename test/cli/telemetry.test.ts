import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Schema } from "effect"
import { Command } from "effect/cli"
import { rollout } from "../../src/cli/rollout.ts"
import * as Telemetry from "../../src/cli/telemetry.ts"
import { serve } from "../support/httpServer.ts"

const Attributes = Schema.Array(Schema.Struct({
  key: Schema.String,
  value: Schema.Struct({ stringValue: Schema.optional(Schema.NullOr(Schema.String)) })
}))

const Spans = Schema.Array(Schema.Struct({
  name: Schema.String,
  spanId: Schema.String,
  parentSpanId: Schema.optional(Schema.String),
  attributes: Attributes
}))

const Traces = Schema.fromJsonString(Schema.Struct({
  resourceSpans: Schema.Array(Schema.Struct({
    resource: Schema.Struct({ attributes: Attributes }),
    scopeSpans: Schema.Array(Schema.Struct({ spans: Spans }))
  }))
}))

const demo = ["questions", "script", "corpus"].flatMap((name) => [`--${name}`, `assets/demo/${name}.jsonl`])

const rollouts = (env: Record<string, string>) =>
  Command.runWith(rollout, { version: "0", renderErrors: false })([...demo, "--limit", "2", "--json"]).pipe(
    Effect.provide(Telemetry.layer),
    Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env }))),
    Effect.provide(NodeServices.layer)
  )

const text = (attributes: typeof Attributes.Type, key: string) =>
  attributes.find((attribute) => attribute.key === key)?.value.stringValue

describe("telemetry", () => {
  it.live("sends the spans of a command to the collector that the environment names", () =>
    Effect.gen(function*() {
      const collector = yield* serve((_, response) => response.end("{}"))
      yield* rollouts({ OTEL_EXPORTER_OTLP_ENDPOINT: new URL(collector.url).origin, OTEL_METRICS_EXPORTER: "none" })
      assert.notInclude(collector.urls, "/v1/metrics")
      const sent = collector.bodies.filter((_, index) => collector.urls[index] === "/v1/traces")
      const resources = (yield* Effect.forEach(sent, (body) => Schema.decodeEffect(Traces)(body)))
        .flatMap(({ resourceSpans }) => resourceSpans)
      assert.strictEqual(text(resources[0]?.resource.attributes ?? [], "service.name"), "search-r1")
      const spans = resources.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans))
      const parentOf = ({ parentSpanId }: typeof Spans.Type[number]) =>
        spans.find(({ spanId }) => spanId === parentSpanId)
      assert.strictEqual(spans.filter(({ name }) => name === "Rollout.run").length, 2)
      const searches = spans.filter(({ name }) => name === "Rollout.search")
      // two rollouts side by side: which of them searches first is not said
      const search = searches.find(({ attributes }) => text(attributes, "query") === "Who founded Karsholm")
      assert.isDefined(search)
      const turn = search === undefined ? undefined : parentOf(search)
      assert.strictEqual(turn?.name, "Rollout.turn")
      const run = turn === undefined ? undefined : parentOf(turn)
      assert.strictEqual(run?.name, "Rollout.run")
      assert.strictEqual(text(run?.attributes ?? [], "ending"), "answer")
    }))

  it.live("is nothing to a command that the collector is away", () =>
    Effect.gen(function*() {
      const url = yield* Effect.scoped(Effect.map(serve(() => {}), ({ url }) => new URL(url).origin))
      yield* rollouts({ OTEL_EXPORTER_OTLP_ENDPOINT: url })
    }))

  it.live("is a part of the program only where a collector is named", () =>
    Effect.gen(function*() {
      const services = (env: Record<string, string>, layer: Layer.Layer<never, unknown> = Telemetry.layer) =>
        Effect.map(
          Effect.scoped(Layer.build(layer)).pipe(
            Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env })))
          ),
          (context) => context.mapUnsafe.size
        )
      const none = yield* services({}, Layer.empty)
      assert.strictEqual(yield* services({}), none)
      // other variables of OpenTelemetry name no collector: its default address is not taken for one
      assert.strictEqual(yield* services({ OTEL_SERVICE_NAME: "x", OTEL_TRACES_EXPORTER: "otlp" }), none)
      for (const signal of ["", "TRACES_", "METRICS_", "LOGS_"]) {
        const env = { [`OTEL_EXPORTER_OTLP_${signal}ENDPOINT`]: "http://127.0.0.1:9" }
        assert.isAbove(yield* services(env), none, signal)
      }
    }))
})
