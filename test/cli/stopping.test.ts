/** How the program ends before its time, as a process: who reads it has gone, or somebody wants it to end. */
// @effect-diagnostics nodeBuiltinImport:off
import { afterAll, assert, describe, it } from "@effect/vitest"
import { type ChildProcess, spawn, type StdioOptions } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, openSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
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

const passages = Array.from(
  { length: 60_000 },
  (_, index) =>
    `{"id":"${index}","contents":"\\"Place ${index}\\"\\nPlace ${index} lies ${index % 97} leagues off Karsholm."}\n`
).join("")

const demonstrations = Array.from(
  { length: 1024 },
  (_, index) =>
    `{"question":"Who founded it?","golden_answers":["a"],"messages":[{"role":"user","content":"Who founded ${index}?"},{"role":"assistant","content":"${
      "<answer> Lulen Dador </answer> ".repeat(8)
    }"}]}\n`
).join("")

const queries = "Who founded Karsholm?\n".repeat(5000)

/** Long work: its command, when it is under way, what a stop waits for, and what is there behind it. */
const long: ReadonlyArray<{
  readonly name: string
  readonly args: (directory: string) => ReadonlyArray<string>
  readonly isUnderWay: (directory: string, errors: string) => boolean
  readonly waits: string
  readonly leaves: (files: ReadonlyArray<string>) => boolean
}> = [
  {
    name: "world",
    args: (directory) => ["world", join(directory, "world"), "--size", "1000000"],
    isUnderWay: (directory) => existsSync(join(directory, "world")) && readdirSync(join(directory, "world")).length > 0,
    waits: "the work in hand",
    leaves: (files) => !files.some((file) => file.endsWith("world.json"))
  },
  {
    name: "index build",
    args: (directory) => ["index", "build", join(directory, "corpus.jsonl"), "--out", join(directory, "words.idx")],
    isUnderWay: (directory) => readdirSync(directory).length > 3,
    waits: "the passages in hand; nothing stays of the new index",
    leaves: (files) => !files.some((file) => file.includes("words.idx"))
  },
  {
    name: "pretrain",
    args: (directory) => ["pretrain", join(directory, "base"), "--batch-size", "64", "--checkpoint-every", "1"],
    isUnderWay: (_, errors) => errors.includes("step 1 of"),
    waits: "what the device computes now",
    leaves: (files) => files.some((file) => file.includes("checkpoints"))
  },
  {
    name: "sft",
    args: (directory) => [
      "sft",
      join(directory, "tuned"),
      "--data",
      join(directory, "data.jsonl"),
      "--batch-size",
      "1024",
      "--epochs",
      "100"
    ],
    isUnderWay: (_, errors) => errors.includes("100 steps"),
    waits: "what the device computes now",
    leaves: (files) => !files.some((file) => file.includes("model.safetensors"))
  }
]

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
      assert.strictEqual(errors().trim(), "stopping after the work in hand; again to quit now")
    })
  }

  describe("during long work is answered at once and ends it soon", () => {
    const directories: Array<string> = []
    afterAll(() => directories.forEach((directory) => rmSync(directory, { recursive: true, force: true })))

    for (const { args, isUnderWay, leaves, name, waits } of long) {
      it(name, async () => {
        const directory = mkdtempSync(join(tmpdir(), "search-r1-stop-"))
        directories.push(directory)
        writeFileSync(join(directory, "corpus.jsonl"), passages)
        writeFileSync(join(directory, "data.jsonl"), demonstrations)
        const begun = performance.now()
        const { child, errors } = start(args(directory))
        child.stdout?.resume()
        await until(() => isUnderWay(directory, errors()))
        const sent = performance.now()
        // a machine that has other things to do takes longer for everything
        const slowness = Math.max(1, (sent - begun) / 4000)
        child.kill("SIGTERM")
        await until(() => errors().includes("stopping"))
        assert.isBelow(performance.now() - sent, 1000 * slowness)
        assert.strictEqual(await ended(child), 143)
        assert.isBelow(performance.now() - sent, 5000 * slowness)
        assert.include(errors(), `stopping after ${waits}`)
        assert.isTrue(leaves(readdirSync(directory, { recursive: true, encoding: "utf8" })))
      })
    }
  })
})
