/**
 * The machine as an installation sees it.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"

/**
 * @category models
 * @since 0.1.0
 */
export interface Platform {
  /** Node's `process.platform`. */
  readonly name: string
  readonly architecture: string
  /** The C library of Linux. */
  readonly libc: "gnu" | "musl"
}

/**
 * The platform of this process.
 *
 * @category getters
 * @since 0.1.0
 */
export const current: Effect.Effect<Platform> = Effect.sync(() => {
  const { arch: architecture, platform: name } = process
  const report: unknown = name === "linux" ? process.report.getReport() : undefined
  const header = typeof report === "object" && report !== null && "header" in report ? report.header : undefined
  const glibc = typeof header === "object" && header !== null && "glibcVersionRuntime" in header
  return { name, architecture, libc: name === "linux" && !glibc ? "musl" : "gnu" }
})
