import { assert, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const root = new URL("../../../../", import.meta.url).pathname

it("the kernels that ship are those that the sources give", () => {
  const directory = mkdtempSync(join(tmpdir(), "kernels-"))
  const script = join(root, "scripts/build-kernels.mjs")
  // One of the two builds tells whether the sources have changed.
  const build = spawnSync(process.execPath, [script, directory, "plain"], { encoding: "utf8" })
  assert.strictEqual(build.status, 0, build.stderr)
  const shipped = readFileSync(join(root, "assets/kernels/plain.wasm"))
  assert.isTrue(shipped.equals(readFileSync(join(directory, "plain.wasm"))), "run npm run build:kernels and commit it")
  rmSync(directory, { recursive: true })
}, 120_000)
