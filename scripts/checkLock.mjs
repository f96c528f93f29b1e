// Refuses a lock file that names a registry, or that lacks the packages of other platforms: npm 11's `npm ci` would
// refuse such a lock there, and npm 10's would install a tool that cannot start.
import { readFileSync } from "node:fs"

const { packages } = JSON.parse(readFileSync(new URL("../package-lock.json", import.meta.url), "utf8"))
const paths = Object.keys(packages)
const problems = Object.entries(packages).flatMap(([path, entry]) => [
  ...(/^https?:/.test(entry.resolved ?? "") ? [`${path} names a registry`] : []),
  ...Object.keys(entry.optionalDependencies ?? {}).flatMap((name) =>
    paths.some((path) => path.endsWith(`node_modules/${name}`))
      ? []
      : [`${path === "" ? "the project" : path} lacks its platform package ${name}`]
  )
])
if (problems.length > 0) {
  process.stderr.write(`package-lock.json:\n  ${problems.join("\n  ")}\n`)
  process.exit(1)
}
