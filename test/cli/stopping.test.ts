/** How the program ends before its time, as a process: who reads it has gone, or somebody wants it to end. */
// @effect-diagnostics nodeBuiltinImport:off
import { assert, describe, it } from "@effect/vitest"
import { type ChildProcess, spawn, type StdioOptions } from "node:child_process"
import { once } from "node:events"
import { openSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { demoFile } from "../../src/layers/assets.ts"

const cli = fileURLToPath(new URL("../../src/cli.ts", import.meta.url))

const start = (args: ReadonlyArray<string>, stdio: StdioOptions = "pipe") => {
  const child = spawn(process.execPath, [cli, ...args], { stdio, env: { ...process.env, NO_COLOR: "1" } })
  let errors = ""
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (errors += text))
  // whoever ended does not read
  child.stdin?.on("error", () => {})
  return { child, errors: () => errors }
}

const ended = async (child: ChildProcess) => {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit")
  return child.exitCode
}

/** Waits until `done` holds, for 20 seconds. */
const until = async (done: () => boolean) => {
  for (let waited = 0; !done() && waited < 20_000; waited += 10) await new Promise((resolve) => setTimeout(resolve, 10))
}

const queries = "Who founded Karsholm?\n".repeat(5000)

describe("a reader who has gone", () => {
  it("ends search quietly, with the code of a program that SIGPIPE ends", async () => {
    const { child, errors } = start(["search", "-", "--json", "--corpus", demoFile("corpus")])
    child.stdin?.end(queries)
    const [first] = await once(child.stdout ?? child, "data")
    assert.include(String(first), "\"query\"")
    child.stdout?.destroy()
    assert.strictEqual(await ended(child), 141)
    assert.strictEqual(errors(), "")
  })

  it("ends what writes to standard error as well", async () => {
    const { child } = start(["score", "-", "--skip-bad"])
    child.stdin?.write("{\"no\":1}\n".repeat(2))
    await once(child.stderr ?? child, "data")
    child.stderr?.destroy()
    child.stdin?.write("{\"no\":1}\n".repeat(2))
    assert.strictEqual(await ended(child), 141)
  })

  it.skipIf(process.platform !== "linux")("is told from a disk that is full", async () => {
    const { child, errors } = start(
      ["search", "Karsholm", "--corpus", demoFile("corpus")],
      ["ignore", openSync("/dev/full", "w"), "pipe"]
    )
    assert.strictEqual(await ended(child), 1)
    assert.include(errors(), "standard output: cannot be written: no space is left on the device")
  })
})

describe("a signal", () => {
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    it(`${signal} is answered at once and ends with ${code}`, async () => {
      const { child, errors } = start(["search", "-", "--json", "--corpus", demoFile("corpus")])
      child.stdin?.write("Who founded Karsholm?\n")
      await once(child.stdout ?? child, "data")
      const sent = performance.now()
      child.kill(signal)
      await until(() => errors().includes("stopping"))
      assert.isBelow(performance.now() - sent, 1000)
      assert.strictEqual(await ended(child), code)
      assert.isBelow(performance.now() - sent, 5000)
      assert.strictEqual(errors().trim(), "stopping; again to quit now")
    })
  }
})
