/** Runner processes: each answers one request at a time, and is ended and replaced when it does not in time. */
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Answer, Request } from "./protocol.ts"

export interface Runner {
  /** The outcomes, or `undefined` when they did not come within `limit` milliseconds. */
  readonly ask: (request: Request, limit: number) => Promise<Answer | undefined>
  readonly end: () => void
}

const runners = new Set<ChildProcess>()

const kill = (child: ChildProcess): void => {
  runners.delete(child)
  try {
    // the whole group: test workers, and what tests started
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL")
  } catch {
    // gone by itself
  }
}

process.on("exit", () => {
  for (const child of runners) kill(child)
})

const started = (
  folder: string,
  mode: "bail" | "count",
  env: Readonly<Record<string, string>>
): Promise<ChildProcess> =>
  new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(new URL("runner.ts", import.meta.url)), [folder, mode], {
      cwd: folder,
      detached: true,
      env: { ...process.env, ...env, NODE_NO_WARNINGS: "1" },
      stdio: ["ignore", "ignore", "pipe", "ipc"]
    })
    runners.add(child)
    let said = ""
    child.stderr?.on("data", (data: Buffer) => {
      said = (said + data.toString()).slice(-2000)
    })
    child.once("message", () => resolve(child))
    child.once("exit", (code) => reject(new Error(`a test runner ended at once (code ${code}): ${said}`)))
  })

/** A runner over a copy of the project. `bail` ends a request's run at the first test that fails. */
export const makeRunner = (
  folder: string,
  mode: "bail" | "count",
  env: Readonly<Record<string, string>> = {}
): Runner => {
  let child: Promise<ChildProcess> | undefined
  return {
    async ask(request, limit) {
      child ??= started(folder, mode, env)
      const process = await child
      const answer = await new Promise<Answer | undefined>((resolve) => {
        const timer = setTimeout(() => settle(undefined), limit)
        const settle = (answer: Answer | undefined): void => {
          clearTimeout(timer)
          process.off("message", settle)
          process.off("exit", ended)
          resolve(answer)
        }
        const ended = (): void => settle({ outcomes: [], broken: [{ file: "", error: "the test runner ended" }] })
        process.on("message", settle)
        process.on("exit", ended)
        process.send(request)
      })
      if (answer === undefined || process.exitCode !== null) {
        kill(process)
        child = undefined
      }
      return answer
    },
    end() {
      void child?.then(kill, () => undefined)
      child = undefined
    }
  }
}
