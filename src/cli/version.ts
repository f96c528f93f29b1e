/**
 * The version that `--version`, servers and telemetry report.
 *
 * @since 0.1.0
 */
// The manifest lies beside src and dist alike.
// @effect-diagnostics nodeBuiltinImport:off
import { Schema } from "effect"
import { readFileSync } from "node:fs"

const Manifest = Schema.fromJsonString(Schema.Struct({ version: Schema.String }))

/**
 * The package's own version.
 *
 * @category constants
 * @since 0.1.0
 */
export const { version } = Schema.decodeUnknownSync(Manifest)(
  readFileSync(new URL("../../package.json", import.meta.url), "utf8")
)
