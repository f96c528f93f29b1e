// @effect-diagnostics nodeBuiltinImport:off
// vitest decides synchronously which tests to skip, before any Effect runs.
import { existsSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { gunzipSync } from "node:zlib"

/** Where real data for tests lies beside a checkout of the project; most machines have none. */
const root = fileURLToPath(new URL("../../shared/data/", import.meta.url))

/** The path of a file or folder of the shared data, whether it is there or not. */
export const sharedPath = (name: string): string => `${root}${name}`

/** Whether a test can read `name`; for `it.skipIf(!hasShared(name))`, with `../shared/data` in the test's title. */
export const hasShared = (name: string): boolean => existsSync(sharedPath(name))

/** The text of a file of the shared data, unpacked where its name ends in `.gz`. */
export const readShared = (name: string): string => {
  const bytes = readFileSync(sharedPath(name))
  return (name.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8")
}

/** The parsed content of a JSON file of the shared data, whose form the caller knows. */
export const readSharedJson = <A>(name: string): A => JSON.parse(readShared(name))
