// @effect-diagnostics nodeBuiltinImport:off
import { execFileSync } from "node:child_process"
import { existsSync } from "node:fs"
import { delimiter, join } from "node:path"

/** Nodes on the PATH of this machine that can load modules and are too old for this package, such as the system's own. */
export const oldNodes = (): ReadonlyArray<string> =>
  [...new Set((process.env["PATH"] ?? "").split(delimiter))].map((directory) => join(directory, "node")).filter(
    (node) => {
      if (!existsSync(node)) return false
      const version = execFileSync(node, ["-p", "process.versions.node"], { encoding: "utf8" }).trim()
      const [major = 0, minor = 0] = version.split(".").map(Number)
      return major >= 18 && (major < 22 || (major === 22 && minor < 19))
    }
  )
