// @effect-diagnostics nodeBuiltinImport:off
/** Commands as a user types them, with the supported Node and none of npm's settings of the test run. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { delimiter, dirname } from "node:path"

export interface Said {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export const environment = (more: Record<string, string> = {}): Record<string, string> => ({
  ...Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]): ReadonlyArray<[string, string]> =>
      value === undefined || /^(npm_|VITEST|NODE_OPTIONS|NODE_ENV|TEST$|FORCE_COLOR|SEARCH_R1_PACKED)/i.test(name)
        ? []
        : [[name, value]]
    )
  ),
  PATH: [dirname(process.execPath), process.env["PATH"] ?? ""].join(delimiter),
  NO_COLOR: "1",
  ...more
})

export interface Shell {
  readonly cwd: string
  readonly env: Record<string, string>
}

/** Starts a command in a shell; it is a group of processes of its own, so that `stop` ends what npx started too. */
export const start = (command: string, { cwd, env }: Shell): ChildProcess =>
  spawn("bash", ["-c", command], { cwd, env, detached: true, stdio: ["ignore", "pipe", "pipe"] })

export const stop = (child: ChildProcess): void => {
  if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGTERM")
}

/** Runs a command to its end. */
export const run = async (command: string, shell: Shell): Promise<Said> => {
  const child = start(command, shell)
  let stdout = ""
  let stderr = ""
  child.stdout?.on("data", (bytes: Buffer) => {
    stdout += bytes.toString("utf8")
  })
  child.stderr?.on("data", (bytes: Buffer) => {
    stderr += bytes.toString("utf8")
  })
  const [code]: Array<number | null> = await once(child, "close")
  return { code: code ?? null, stdout, stderr }
}

/** Waits until the process has said something that fits, on either stream. */
export const heard = (child: ChildProcess, pattern: RegExp): Promise<string> =>
  new Promise((resolve, reject) => {
    let said = ""
    const listen = (bytes: Buffer) => {
      said += bytes.toString("utf8")
      if (pattern.test(said)) resolve(said)
    }
    child.stdout?.on("data", listen)
    child.stderr?.on("data", listen)
    child.once("close", (code) => reject(new Error(`it ended with ${code}: ${said}`)))
  })

/** The commands of the blocks of a Markdown text that are marked as `sh`, lines that a backslash continues joined. */
export const commandsOf = (markdown: string): ReadonlyArray<string> =>
  [...markdown.matchAll(/^```sh\n(.*?)^```/gms)].flatMap(([, block = ""]) =>
    block.replaceAll(/\\\n\s*/g, "").split("\n").map((line) => line.replace(/\s+#.*$/, "").trim()).filter((line) =>
      line !== ""
    )
  )

/** The blocks of a Markdown text that are marked as `sh`, each as a script. */
export const scriptsOf = (markdown: string): ReadonlyArray<string> =>
  [...markdown.matchAll(/^```sh\n(.*?)^```/gms)].map(([, block = ""]) => block)
