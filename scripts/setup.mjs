// Installs the locked dependencies when they are missing or older than the lock file, so that `npm start` and
// `npm test` work from a fresh clone. Plain JavaScript without imports from node_modules: it runs on whatever Node
// the machine has, before the supported Node of devDependencies is there.
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const lock = createHash("sha256").update(readFileSync(`${root}package-lock.json`)).digest("hex")
const stamp = `${root}node_modules/.installed-lock`

if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== lock) {
  process.stderr.write("Installing dependencies (once) ...\n")
  const npm = process.env.npm_execpath
  const args = ["ci", "--no-audit", "--no-fund", "--loglevel=error"]
  const { status, error } = npm !== undefined && npm.endsWith(".js")
    ? spawnSync(process.execPath, [npm, ...args], { cwd: root, stdio: ["ignore", 2, 2] })
    : spawnSync("npm", args, { cwd: root, stdio: ["ignore", 2, 2], shell: process.platform === "win32" })
  if (status !== 0) {
    process.stderr.write(
      `npm ci failed${
        error === undefined ? "" : `: ${error.message}`
      }. Mend the cause above, then run "npm ci" in ${root}.\n`
    )
    process.exit(status ?? 1)
  }
  writeFileSync(stamp, lock)
}
