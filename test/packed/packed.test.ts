// @effect-diagnostics nodeBuiltinImport:off
/**
 * The package as its users get it: packed, installed by npm into an empty directory from a registry on this machine that has
 * what the checkout has, and used as the README says. `SEARCH_R1_PACKED=1 npx vitest run test/packed`, which `.ci/run` does.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { once } from "node:events"
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import * as UserCache from "../../src/layers/userCache.ts"
import { oldNodes } from "../support/oldNodes.ts"
import { commandsOf, environment, heard, run, type Said, start, stop } from "../support/shell.ts"
import { serveRegistry } from "./registry.ts"

const root = new URL("../..", import.meta.url).pathname
const readme = readFileSync(join(root, "README.md"), "utf8")
const { version }: { readonly version: string } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
const cache = await Effect.runPromise(Effect.provide(UserCache.directory, NodeServices.layer))

const work = mkdtempSync(join(tmpdir(), "search-r1-packed-"))
const project = join(work, "project")
const env = environment({ npm_config_cache: join(work, "npm"), npm_config_update_notifier: "false" })
let registry: { readonly url: string; readonly close: () => void }

const inProject = (command: string, more: Record<string, string> = {}): Promise<Said> =>
  run(command, { cwd: project, env: { ...env, ...more } })

/** What a command printed that went well and had nothing to say beside it. */
const printed = async (command: string, more?: Record<string, string>): Promise<string> => {
  const { code, stderr, stdout } = await inProject(command, more)
  assert.deepStrictEqual([code, stderr], [0, ""], `${command}\n${stdout}`)
  return stdout
}

const installed = join(project, "node_modules", "effect-search-r1")
const inPackage = (path: string) => join(installed, path)
const filesOf = (directory: string) =>
  readdirSync(directory, { recursive: true, encoding: "utf8" }).map((file) => file.replaceAll("\\", "/"))

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  server.close()
  await once(server, "close")
  return typeof address === "object" && address !== null ? address.port : 0
}

describe.skipIf(process.env["SEARCH_R1_PACKED"] === undefined)("the packed package, with SEARCH_R1_PACKED=1", {
  timeout: 120_000
}, () => {
  beforeAll(async () => {
    mkdirSync(project)
    const { code, stderr } = await run(`npm pack --silent --pack-destination ${work}`, { cwd: root, env })
    assert.strictEqual(code, 0, stderr)
    registry = await serveRegistry(root, join(work, `effect-search-r1-${version}.tgz`))
    env["npm_config_registry"] = registry.url
  }, 120_000)
  afterAll(() => {
    registry.close()
    rmSync(work, { recursive: true, force: true })
  }, 120_000)

  it("runs with npx where nothing is installed", async () => {
    const empty = join(work, "empty")
    mkdirSync(empty)
    const said = await run("npx --yes effect-search-r1 --version", { cwd: empty, env })
    assert.deepStrictEqual(said, { code: 0, stdout: `search-r1 v${version}\n`, stderr: "" })
    assert.deepStrictEqual(readdirSync(empty), [])
  })

  it("installs without a warning", async () => {
    const [command = ""] = commandsOf(readme)
    assert.strictEqual(command, "npm install effect-search-r1")
    const { code, stderr, stdout } = await inProject(command)
    assert.deepStrictEqual([code, stderr], [0, ""])
    assert.match(stdout, /^\nadded \d+ packages in /)
  })

  it("answers to both of its names", async () => {
    for (const program of ["search-r1", "effect-search-r1"]) {
      assert.strictEqual(await printed(`npx ${program} --version`), `search-r1 v${version}\n`)
    }
    const help = await printed("npx search-r1 --help")
    const commands = [...readme.matchAll(/^\| `(\w+)`/gm)]
    assert.isAbove(commands.length, 5)
    for (const command of commands) assert.include(help, `  ${command[1]} `)
  })

  it("has maps whose sources are there, documents and examples, and neither tests nor benchmarks", () => {
    const files = filesOf(installed)
    const maps = files.filter((file) => file.endsWith(".map"))
    assert.isAbove(maps.length, 100)
    for (const file of maps) {
      const { sources }: { readonly sources: ReadonlyArray<string> } = JSON.parse(readFileSync(inPackage(file), "utf8"))
      for (const source of sources) assert.isTrue(existsSync(resolve(dirname(inPackage(file)), source)), file)
    }
    assert.includeMembers(files, ["README.md", "CHANGELOG.md", "LICENSE", "docs/models.md", "examples/train.ts"])
    assert.deepStrictEqual(files.filter((file) => /^(test|bench|scripts|\.ci)\b|\.test\./.test(file)), [])
    const links = [...readme.matchAll(/\]\((docs[^)#]+)/g)]
    assert.isAbove(links.length, 3)
    for (const [, link = ""] of links) assert.isTrue(existsSync(inPackage(link)), link)
  })

  it("starts under an old Node with one line that says what to do (where this machine has one)", async () => {
    for (const node of oldNodes()) {
      const { code, stderr } = await inProject(`'${node}' node_modules/.bin/search-r1 --help`)
      assert.strictEqual(code, 1)
      assert.match(stderr, /^search-r1 needs Node 22\.19 or newer, and this is Node [\d.]+\. Install [^\n]+\n$/)
    }
  })

  it("does what every command of the README says", async () => {
    const more: Record<string, (output: string) => void> = {
      "npx search-r1 start": (output) => {
        assert.match(output, /held-out questions +EM +1 hop/)
        assert.match(output, /after 1 step/)
        assert.match(output, /\n {2}npx search-r1 evaluate --run /)
      },
      "npx search-r1 search \"Who founded Karsholm?\" --corpus demo/corpus.jsonl": (output) => {
        assert.match(output, /1 {2}Karsholm {2}score/)
      }
    }
    const arguments_: Record<string, string> = {
      "npx search-r1 start": " --steps 1 --questions 8",
      "node train.mts": " 1"
    }
    const commands = commandsOf(readme)
    const here = commands.filter((command) => {
      // of a clone; run above; runs until it is stopped, and does below
      const elsewhere = /^(npm (start|test|install effect-search-r1)$|npx search-r1 serve )/.test(command)
      return !elsewhere
    })
    assert.isAbove(here.length, 7)
    for (const command of here) {
      const { code, stderr, stdout } = await inProject(`${command}${arguments_[command] ?? ""}`)
      assert.strictEqual(code, 0, `${command}\n${stdout}${stderr}`)
      assert.notMatch(stderr, /Warning|absl|Error/, command)
      more[command]?.(stdout)
    }
  })

  it("serves a corpus, and the embedding example asks it", async () => {
    const port = await freePort()
    const serve = commandsOf(readme).find((command) => command.startsWith("npx search-r1 serve"))
    const server = start(`${serve} --port ${port}`, { cwd: project, env })
    try {
      await heard(server, new RegExp(`:${port}`))
      const [, code = ""] = /^```ts\n(.*?)^```/ms.exec(readme) ?? []
      assert.include(code, "127.0.0.1:8000")
      writeFileSync(join(project, "embed.mts"), code.replace("127.0.0.1:8000", `127.0.0.1:${port}`))
      const output = await printed("node embed.mts")
      assert.strictEqual(output.match(/reward 1/g)?.length, 4)
    } finally {
      stop(server)
    }
  })

  it("compiles in TypeScript projects that check every declaration", async () => {
    const { exports }: { readonly exports: Record<string, unknown> } = JSON.parse(
      readFileSync(inPackage("package.json"), "utf8")
    )
    const hidden = Object.entries(exports).filter(([, target]) => target === null).map(([pattern]) => pattern.slice(2))
    const modules = filesOf(inPackage("dist")).filter((file) => file.endsWith(".d.ts"))
      .map((file) => file.slice(0, -".d.ts".length))
      .filter((module) =>
        !hidden.some((pattern) => pattern.endsWith("*") ? module.startsWith(pattern.slice(0, -1)) : module === pattern)
      )
    assert.isAbove(modules.length, 200)
    const imports = ["effect-search-r1", ...modules.map((module) => `effect-search-r1/${module}`)]
    writeFileSync(
      join(project, "all.mts"),
      `${imports.map((name, i) => `import * as m${i} from "${name}"`).join("\n")}
export const all = [${imports.map((_, i) => `m${i}`).join(", ")}]
`
    )
    for (const example of readdirSync(inPackage("examples"))) {
      copyFileSync(inPackage(`examples/${example}`), join(project, example.replace(/\.ts$/, ".mts")))
    }
    const examples = readdirSync(project).filter((file) => file.endsWith(".mts"))
    const tsc = join(root, "node_modules", "typescript", "bin", "tsc")
    for (const [moduleResolution, module] of [["nodenext", "nodenext"], ["bundler", "esnext"]]) {
      writeFileSync(
        join(project, "tsconfig.json"),
        JSON.stringify({
          compilerOptions: {
            strict: true,
            module,
            moduleResolution,
            target: "es2022",
            noEmit: true,
            skipLibCheck: false,
            types: ["node"]
          },
          files: examples
        })
      )
      const { code, stdout } = await inProject(`'${process.execPath}' '${tsc}'`)
      assert.deepStrictEqual([code, stdout], [0, ""], moduleResolution)
    }
    await printed("node all.mts")
  })

  it("finds what it computes on from where it is installed", async () => {
    const devices = await printed("npx search-r1 device list", { SEARCH_R1_CACHE: join(work, "no-cache") })
    assert.match(devices, /wasm .*\n +available: float32, \d+ threads?, all of \d+ fused kernels/)
    assert.match(devices, /tensorflow .*\n +not available: neither @tensorflow\/tfjs-node-gpu nor/)
    // an optional package that npm cannot get: npm is asked, and the reason is told
    const { code, stderr } = await inProject("npx search-r1 index install lance", {
      SEARCH_R1_CACHE: join(work, "no-cache")
    })
    assert.strictEqual(code, 1)
    assert.match(stderr, /@lancedb\/lancedb: npm could not install it/)
  })

  it.skipIf(!existsSync(join(cache, "tensorflow")))(
    "finds TensorFlow where device install has put it (skipped where it has not)",
    async () => {
      assert.match(await printed("npx search-r1 device list"), /tensorflow .*\n +available: float32/)
      await printed(
        "npx search-r1 rollout --device tensorflow --questions demo/questions.jsonl --limit 1 \\\n" +
          "--model node_modules/effect-search-r1/assets/base-model --corpus demo/corpus.jsonl --json " +
          "--max-response-tokens 8 --max-prompt-tokens 64 --max-context-tokens 256 --max-observation-tokens 32"
      )
    }
  )

  const lance = join(cache, "packages", "lance-0.31.0", "node_modules")
  it.skipIf(!existsSync(lance))("finds an optional package in the project (skipped where there is none)", async () => {
    for (const name of ["@lancedb", "apache-arrow"]) {
      symlinkSync(join(lance, name), join(project, "node_modules", name))
    }
    const own = { SEARCH_R1_CACHE: join(work, "no-cache") }
    assert.match(await printed("npx search-r1 index build demo/corpus.jsonl --engine lance", own), /36 passages/)
    assert.match(await printed("npx search-r1 search Karsholm --index demo/corpus.lance", own), /1 {2}Karsholm/)
  })
})
