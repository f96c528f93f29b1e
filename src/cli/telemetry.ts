/**
 * Traces, metrics and logs for a collector that speaks OTLP over HTTP.
 *
 * @since 0.1.0
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Config, ConfigProvider, Effect, Layer, Option } from "effect"
import { Otlp, OtlpSerialization } from "effect/observability"
import { httpUrl } from "./httpUrl.ts"
import { userError } from "./userError.ts"
import { version } from "./version.ts"

const endpoints = ["", "TRACES_", "METRICS_", "LOGS_"].map((signal) => `OTEL_EXPORTER_OTLP_${signal}ENDPOINT`)

/** OpenTelemetry's own defaults, which Effect leaves out: an address suffices for all signals to be sent. */
const defaults = ConfigProvider.fromEnv({
  env: {
    OTEL_TRACES_EXPORTER: "otlp",
    OTEL_METRICS_EXPORTER: "otlp",
    OTEL_LOGS_EXPORTER: "otlp",
    OTEL_SERVICE_NAME: "search-r1",
    OTEL_SERVICE_VERSION: version
  }
})

/**
 * Exports spans, metrics and logs where `OTEL_EXPORTER_OTLP_ENDPOINT` (or the one of a signal) names a collector, and
 * nothing elsewhere. OpenTelemetry's other variables hold too. A collector that is away costs spans, never a run.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = Layer.unwrap(Effect.gen(function*() {
  const named = yield* Effect.forEach(endpoints, (name) => Config.option(Config.String(name)))
  if (named.every(({ _tag }) => _tag === "None")) return Layer.empty
  for (const [index, address] of named.entries()) {
    if (Option.isSome(address) && httpUrl(address.value) === undefined) {
      return yield* userError(
        `${endpoints[index]}=${address.value}: expected the URL of a collector, e.g. http://127.0.0.1:4318`
      )
    }
  }
  const provider = yield* ConfigProvider.ConfigProvider
  return Otlp.layerFromConfig().pipe(
    Layer.provide([OtlpSerialization.layerJson, NodeHttpClient.layerUndici]),
    Layer.provide(ConfigProvider.layer(ConfigProvider.orElse(provider, defaults)))
  )
}))
