// @effect-diagnostics nodeBuiltinImport:off
// A test serves npm what it knows from this checkout, so that an installation needs no network.
import { spawn } from "node:child_process"
import { createReadStream, existsSync, readFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { dirname, join } from "node:path"

interface Manifest {
  readonly name: string
  readonly version: string
}

const read = (directory: string): Manifest => JSON.parse(readFileSync(join(directory, "package.json"), "utf8"))

interface Lock {
  readonly packages: Record<string, object>
}

/** Where each version of each package lies that the lock file names and that is installed. */
const installed = (root: string): ReadonlyMap<string, ReadonlyMap<string, string>> => {
  const { packages }: Lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"))
  const found = new Map<string, Map<string, string>>()
  for (const path of Object.keys(packages)) {
    const directory = join(root, path)
    if (path === "" || !existsSync(join(directory, "package.json"))) continue
    const { name, version } = read(directory)
    found.set(name, (found.get(name) ?? new Map<string, string>()).set(version, directory))
  }
  return found
}

/**
 * An npm registry on this machine with the packages of the checkout `root`, and the package packed in `tarball`, whose
 * manifest is the checkout's. Gives its address and what closes it.
 */
export const serveRegistry = async (root: string, tarball: string): Promise<{ url: string; close: () => void }> => {
  const packages = installed(root)
  const own = read(root)
  const server = createServer((request, response) => {
    const url = `http://${request.headers.host}`
    const path = decodeURIComponent(request.url ?? "/").slice(1)
    const archive = /^(.+)\/-\/(.+)\.tgz$/.exec(path)
    if (archive !== null) {
      const [, name = "", version = ""] = archive
      if (name === own.name) return createReadStream(tarball).pipe(response)
      const directory = packages.get(name)?.get(version)
      if (directory === undefined) return response.writeHead(404).end()
      const tar = spawn("tar", [
        "-cf",
        "-",
        "--exclude=node_modules",
        "-C",
        dirname(directory),
        directory.slice(dirname(directory).length + 1)
      ], { stdio: ["ignore", "pipe", "inherit"] })
      return tar.stdout.pipe(response)
    }
    const versions = path === own.name ? new Map([[own.version, root]]) : packages.get(path)
    if (versions === undefined) return response.writeHead(404).end("{}")
    response.setHeader("content-type", "application/json")
    response.end(JSON.stringify({
      name: path,
      "dist-tags": { latest: [...versions.keys()].at(-1) },
      versions: Object.fromEntries(
        [...versions].map(([version, directory]) => [version, {
          ...read(directory),
          dist: { tarball: `${url}/${path}/-/${version}.tgz` }
        }])
      )
    }))
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  // oxlint-disable-next-line typescript/consistent-type-assertions
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => {
      server.close()
      server.closeAllConnections()
    }
  }
}
