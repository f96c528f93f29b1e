/**
 * The optional packages, with the versions that this one is tested with.
 *
 * @since 0.1.0
 */
import type { Platform } from "./platform.ts"

/**
 * An optional package. `requirements` are installed with it; `platform` names what holds its native code there.
 *
 * @category models
 * @since 0.1.0
 */
export interface OptionalPackage {
  /** What the command line calls it. */
  readonly key: string
  readonly name: string
  readonly version: string
  readonly purpose: string
  readonly megabytes: number
  readonly requirements: ReadonlyArray<string>
  /**
   * The package of its native code, where npm must not choose it among the optional dependencies because there are others
   * that nobody here needs; undefined where the platform has none. Absent: npm chooses.
   */
  readonly native?: ((platform: Platform) => string | undefined) | undefined
}

/**
 * LanceDB. Its optional dependencies hold two clients of embedding services (600 MB) beside its native code.
 *
 * @category constants
 * @since 0.1.0
 */
export const lance: OptionalPackage = {
  key: "lance",
  name: "@lancedb/lancedb",
  version: "0.31.0",
  purpose: "search indexes on disk: full text, vectors and both",
  megabytes: 190,
  requirements: ["apache-arrow@18.1.0"],
  native: ({ architecture, libc, name }) => {
    const suffix = name === "linux"
      ? architecture === "x64" || architecture === "arm64" ? `linux-${architecture}-${libc}` : undefined
      : name === "darwin"
      ? architecture === "arm64" ? "darwin-arm64" : undefined
      : name === "win32"
      ? architecture === "x64" || architecture === "arm64" ? `win32-${architecture}-msvc` : undefined
      : undefined
    return suffix === undefined ? undefined : `@lancedb/lancedb-${suffix}`
  }
}

/**
 * Hugging Face's transformers with ONNX Runtime.
 *
 * @category constants
 * @since 0.1.0
 */
export const transformers: OptionalPackage = {
  key: "transformers",
  name: "@huggingface/transformers",
  version: "4.3.1",
  purpose: "embeddings and reranking in this process",
  megabytes: 470,
  requirements: []
}
