/**
 * A real server under load: the longest that `/health` waits while requests of all kinds of hostile bodies are answered, and
 * what the access log costs: `npm run -s bench -- serve --corpus FILE [--index PATH] [--questions FILE] [--rounds N]`.
 */
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { Agent, request as httpRequest } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import * as QuestionsFile from "../src/layers/questions/QuestionsFile.ts"
import { hostileQueries } from "../test/support/hostileQueries.ts"
import { generatedQuestions } from "./support/generatedCorpus.ts"

const start = (flags: ReadonlyArray<string>) => {
  const cli = fileURLToPath(new URL("../src/cli.ts", import.meta.url))
  const child = spawn(process.execPath, [cli, "serve", "--port", "0", ...flags], {
    stdio: ["ignore", "pipe", "ignore"]
  })
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  return new Promise<{ readonly url: string; readonly stop: () => Promise<void> }>((resolve, reject) => {
    let output = ""
    child.once("exit", () => reject(new Error("the server did not start")))
    child.stdout.on("data", (bytes: Buffer) => {
      if (output.includes("/retrieve")) return
      output += bytes.toString("utf8")
      const url = /http:\/\/\S+?(?=\/retrieve)/.exec(output)?.[0]
      if (url === undefined) return
      const stop = async () => {
        child.kill("SIGTERM")
        await ended
      }
      resolve({ url, stop })
    })
  })
}

/** Milliseconds that an answer takes. */
const ask = (url: string, agent: Agent, body?: string) =>
  new Promise<number>((resolve, reject) => {
    const began = performance.now()
    const sent = httpRequest(url, { method: body === undefined ? "GET" : "POST", agent }, (response) => {
      response.resume()
      response.once("end", () => resolve(performance.now() - began))
    })
    sent.once("error", reject)
    sent.end(body)
  })

const bodyOf = (queries: ReadonlyArray<string>, topk = 3) => JSON.stringify({ queries, topk })
const numbered = (count: number, text: (at: number) => string) => Array.from({ length: count }, (_, at) => text(at))
const words = "year city world state film team season war university album county river series house party band music"
const mebibytes = (count: number, text: string) => text.repeat(Math.floor(count * 2 ** 20 / text.length))

/** Bodies that keep a server busy, and how many of each come at once. */
const bodies: Readonly<Record<string, ReadonlyArray<string>>> = {
  "each hostile query": Object.values(hostileQueries).map((query, at) => bodyOf([`${query} ${at}`])),
  "all hostile queries at once": [bodyOf(Object.values(hostileQueries))],
  "64 requests of 1,500 words": numbered(64, (at) => bodyOf([numbered(1500, (word) => `w${at}x${word}`).join(" ")])),
  "1,000 queries of common words": [bodyOf(numbered(1000, (at) => `${words} ${at}`))],
  "8,192 small queries": [bodyOf(numbered(8192, (at) => `city ${at}`))],
  "15 MiB of queries of 8,000 characters": [
    bodyOf(numbered(1900, (at) => `${words} ${at} `.repeat(90).slice(0, 8000)))
  ],
  "2,000 queries for 128 passages": [bodyOf(numbered(2000, (at) => `city ${at}`), 128)],
  "one query of 15 MiB": [bodyOf([mebibytes(15, "herring ")])],
  "15 MiB of ligatures": [bodyOf([mebibytes(5, "\uFDFA")])],
  "15 MiB of brackets": [mebibytes(15, "[")],
  "15 MiB of empty lists": [`[${mebibytes(15, "[],")}[]]`],
  "15 MiB of empty queries": [`{"queries":[${mebibytes(15, "\"\",")}""]}`],
  "15 MiB of line breaks": [`${mebibytes(15, "\n")}x`],
  "15 MiB of digits": [mebibytes(15, "1")],
  "15 MiB of a text that does not end": [`{"queries":["${mebibytes(15, "a\\n")}`]
}

const worstHealth = async (flags: ReadonlyArray<string>) => {
  const { stop, url } = await start([...flags, "--access-log", "off"])
  const searching = new Agent({ keepAlive: true })
  const looking = new Agent({ keepAlive: true, maxSockets: 1 })
  const worst: Record<string, number> = {}
  for (let at = 0; at < 20; at++) await ask(`${url}/health`, looking)
  for (const [name, several] of Object.entries(bodies)) {
    const answered = new AbortController()
    let longest = 0
    const watching = (async () => {
      while (!answered.signal.aborted) {
        longest = Math.max(longest, await ask(`${url}/health`, looking))
        await sleep(5)
      }
    })()
    await Promise.all(several.map((body) => ask(`${url}/retrieve`, searching, body)))
    answered.abort()
    await watching
    worst[name] = Math.round(longest)
    process.stderr.write(`${name}: ${worst[name]} ms\n`)
  }
  searching.destroy()
  looking.destroy()
  await stop()
  return worst
}

/** Requests a second of 32 clients that ask one question each. */
const rate = async (flags: ReadonlyArray<string>, questions: ReadonlyArray<string>) => {
  const { stop, url } = await start([...flags, "--cache", "off"])
  const agent = new Agent({ keepAlive: true, maxSockets: 32 })
  const all = () => {
    let next = 0
    const client = async () => {
      for (let at = next++; at < questions.length; at = next++) {
        await ask(`${url}/retrieve`, agent, bodyOf([questions[at] ?? ""]))
      }
    }
    return Promise.all(numbered(32, () => "").map(client))
  }
  await all()
  const began = performance.now()
  await all()
  await all()
  const seconds = (performance.now() - began) / 1000
  agent.destroy()
  await stop()
  return 2 * questions.length / seconds
}

const median = (values: ReadonlyArray<number>) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

export const run = async (args: ReadonlyArray<string>): Promise<Readonly<Record<string, unknown>>> => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      corpus: { type: "string" },
      index: { type: "string" },
      questions: { type: "string" },
      rounds: { type: "string", default: "5" }
    }
  })
  const flags = values.index === undefined ? ["--corpus", values.corpus ?? ""] : ["--index", values.index]
  const questions = values.questions === undefined
    ? generatedQuestions(1000).map(({ question }) => question)
    : (await Effect.runPromise(QuestionsFile.read(values.questions))).map(({ question }) => question)
  const worstHealthMs = await worstHealth(flags)
  const rates: Record<string, Array<number>> = { off: [], text: [], json: [] }
  // in turns, so that other work on the machine meets all
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [form, measured] of Object.entries(rates)) {
      measured.push(await rate([...flags, "--access-log", form], questions))
    }
    process.stderr.write(`${JSON.stringify(rates)}\n`)
  }
  const requestsPerSecond = Object.fromEntries(
    Object.entries(rates).map(([form, measured]) => [form, Math.round(median(measured))])
  )
  const cost = (form: string) =>
    Number(median((rates[form] ?? []).map((value, at) => 1 - value / (rates["off"]?.[at] ?? 1))).toFixed(3))
  return { worstHealthMs, requestsPerSecond, accessLogCost: { text: cost("text"), json: cost("json") } }
}
