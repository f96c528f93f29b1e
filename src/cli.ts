#!/usr/bin/env node
/**
 * The first file of the command line. It can be read by a Node that is too old for the others, says so, and leaves the
 * rest to `cli/main.ts`.
 *
 * @since 0.1.0
 */
// @effect-diagnostics nodeBuiltinImport:off
import { readFileSync } from "node:fs"

const { engines }: { readonly engines: { readonly node: string } } = JSON.parse(
  readFileSync(new URL("../package.json", import.meta.url), "utf8")
)

const numbers = (version: string): ReadonlyArray<number> => version.replace(/^[^\d]*/, "").split(".").map(Number)

const [major = 0, minor = 0] = numbers(engines.node)
const [ownMajor = 0, ownMinor = 0] = numbers(process.versions.node)

if (ownMajor < major || (ownMajor === major && ownMinor < minor)) {
  process.stderr.write(
    `search-r1 needs Node ${major}.${minor} or newer, and this is Node ${process.versions.node}. ` +
      "Install a newer one from https://nodejs.org, or into this directory: npm install node@24\n"
  )
  process.exitCode = 1
} else {
  const { hideDeprecations } = await import("./layers/hideDeprecations.ts")
  hideDeprecations()
  await import("./cli/main.ts")
}
