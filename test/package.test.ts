// @effect-diagnostics nodeBuiltinImport:off
// The manifest and the first file of the command line are read as npm and an old Node read them.
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { stripTypeScriptTypes } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { asCalled, invocationOf } from "../src/cli/invocation.ts"
import { oldNodes } from "./support/oldNodes.ts"

const root = new URL("..", import.meta.url).pathname
const read = (path: string) => readFileSync(join(root, path), "utf8")

interface Manifest {
  readonly version: string
  readonly engines: { readonly node: string }
  readonly bin: Record<string, string>
  readonly files: ReadonlyArray<string>
  readonly exports: Record<string, unknown>
  readonly peerDependencies: Record<string, string>
  readonly peerDependenciesMeta: Record<string, { readonly optional: boolean }>
  readonly dependencies: Record<string, string>
  readonly publishConfig: { readonly access: string; readonly provenance: boolean }
  readonly repository: { readonly url: string }
}

const manifest: Manifest = JSON.parse(read("package.json"))

describe("the manifest", () => {
  it("names both programs, and their file says what runs it", () => {
    assert.deepStrictEqual(manifest.bin, { "search-r1": "dist/cli.js", "effect-search-r1": "dist/cli.js" })
    assert.isTrue(read("src/cli.ts").startsWith("#!/usr/bin/env node\n"))
  })

  it("packs what the installed package reads, and neither tests nor benchmarks", () => {
    for (const path of manifest.files) assert.isTrue(path === "dist" || existsSync(join(root, path)), path)
    assert.includeMembers([...manifest.files], ["dist", "src", "assets", "native", "docs", "examples", "CHANGELOG.md"])
    assert.notIncludeMembers([...manifest.files], ["test", "bench", "scripts", "."])
  })

  it("leaves the choice of TensorFlow to the user: optional peers of the version that tfjs here has", () => {
    for (const name of ["@tensorflow/tfjs-node-gpu", "@tensorflow/tfjs-node"]) {
      assert.strictEqual(manifest.peerDependencies[name], manifest.dependencies["@tensorflow/tfjs-core"])
      assert.deepStrictEqual(manifest.peerDependenciesMeta[name], { optional: true })
    }
  })

  it("can be published with provenance", () => {
    assert.deepStrictEqual(manifest.publishConfig, { access: "public", provenance: true })
    assert.match(manifest.repository.url, /^git\+https:\/\/.+\.git$/)
  })

  it("has a version that the changelog knows", () => {
    assert.match(read("CHANGELOG.md"), new RegExp(`^## ${manifest.version.replaceAll(".", "\\.")}\\b`, "m"))
  })

  it("exports neither the command line nor what mentions the types of tfjs", () => {
    const hidden = Object.entries(manifest.exports).filter(([, target]) => target === null).map(([pattern]) => pattern)
    const isHidden = (module: string) =>
      hidden.some((pattern) => pattern.endsWith("*") ? module.startsWith(pattern.slice(0, -1)) : module === pattern)
    assert.isTrue(isHidden("./cli") && isHidden("./cli/main"))
    const modules = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .map((file) => file.replaceAll("\\", "/"))
    const exported = modules.filter((file) => !isHidden(`./${file.slice(0, -3)}`))
    assert.isAbove(exported.length, 200)
    // a type of tfjs in a declaration would bring its declarations, which do not compile, into every project
    const leaks = exported.filter((file) => /^export .*: .*\btf\./m.test(read(`src/${file}`)))
    assert.deepStrictEqual(leaks, [])
  })
})

describe("an old Node", () => {
  /** The first file as an installation has it: JavaScript, with the manifest above it. */
  const installed = (): string => {
    const directory = mkdtempSync(join(tmpdir(), "search-r1-old-node-"))
    mkdirSync(join(directory, "dist"))
    copyFileSync(join(root, "package.json"), join(directory, "package.json"))
    writeFileSync(
      join(directory, "dist", "cli.js"),
      stripTypeScriptTypes(read("src/cli.ts")).replace("#!/usr/bin/env node", "")
    )
    return directory
  }

  const message = (version: string) =>
    new RegExp(`^search-r1 needs Node 22\\.19 or newer, and this is Node ${version}\\. Install [^\\n]+\\n$`)

  const pretending = (version: string) =>
    `data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"${version}"}})`

  it("gets one line and the exit code 1", () => {
    for (const version of ["18.20.8", "20.20.2", "22.0.0", "22.18.0"]) {
      const { status, stderr, stdout } = spawnSync(
        process.execPath,
        ["--import", pretending(version), "src/cli.ts", "--version"],
        { cwd: root, encoding: "utf8" }
      )
      assert.deepStrictEqual([status, stdout], [1, ""])
      assert.match(stderr, message(version.replaceAll(".", "\\.")))
    }
  })

  it("reads nothing else before", () => {
    const imports = [...read("src/cli.ts").matchAll(/^import .*from "(.*)"/gm)].map(([, name = ""]) => name)
    assert.isNotEmpty(imports)
    assert.isTrue(imports.every((name) => name.startsWith("node:")), imports.join())
  })

  const old = oldNodes()

  it.skipIf(old.length === 0)("on the PATH of this machine gets it too (skipped where there is none)", () => {
    const directory = installed()
    for (const node of old) {
      const { status, stderr } = spawnSync(node, [join(directory, "dist", "cli.js"), "--help"], { encoding: "utf8" })
      assert.strictEqual(status, 1)
      assert.match(stderr, message("[0-9.]+"))
    }
    rmSync(directory, { recursive: true })
  })
})

describe("the commands that are printed to be copied", () => {
  const called = { program: "", event: "", owner: "" }
  it("are those of how the program was called", () => {
    const cases = [
      ["npm run -s search-r1 --", { ...called, event: "start", owner: "effect-search-r1" }],
      ["npx search-r1", { ...called, program: "/home/me/app/node_modules/.bin/search-r1", event: "npx" }],
      ["npx effect-search-r1", { ...called, program: "/home/me/app/node_modules/.bin/effect-search-r1", event: "npx" }],
      // npx has fetched it: no project has the program, and another package may have its name
      ["npx effect-search-r1", {
        ...called,
        program: "/home/me/.npm/_npx/0a1b/node_modules/.bin/search-r1",
        event: "npx"
      }],
      // a script of a project that has this package
      ["npx search-r1", { program: "/app/node_modules/.bin/search-r1", event: "start", owner: "my-app" }],
      ["search-r1", { ...called, program: "/usr/local/bin/search-r1" }],
      ["npx search-r1", { ...called, program: "C:\\app\\node_modules\\effect-search-r1\\dist\\cli.js", event: "npx" }]
    ] as const
    for (const [expected, how] of cases) assert.strictEqual(invocationOf(how), expected)
  })

  it("begins commands in texts of layers as it was called, and no paths", () => {
    const text = "Run \"search-r1 index install lance --force\", or (search-r1 sft), `search-r1 index build`"
    assert.strictEqual(
      asCalled("npx search-r1", text),
      "Run \"npx search-r1 index install lance --force\", or (npx search-r1 sft), `npx search-r1 index build`"
    )
    for (
      const other of ["/x/search-r1 y", "effect-search-r1 is", "search-r1-2 runs", "the search-r1", "my-search-r1 run"]
    ) {
      assert.strictEqual(asCalled("npx search-r1", other), other)
    }
  })
})
