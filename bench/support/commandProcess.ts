/** The program in processes of its own, as users run it. */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

const cli = fileURLToPath(new URL("../../src/cli.ts", import.meta.url))

/** Starts `search-r1` with arguments. */
export const command = (args: ReadonlyArray<string>) => {
  const begun = performance.now()
  const child = spawn(process.execPath, [cli, ...args], { stdio: ["ignore", "pipe", "pipe"] })
  let output = ""
  let seen: (milliseconds: number) => void = () => {}
  const firstStep = new Promise<number>((resolve) => {
    seen = resolve
  })
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (bytes: Buffer) => {
      output += bytes.toString("utf8")
      if (/^step +\d/m.test(output)) seen(performance.now() - begun)
    })
  }
  const ended = new Promise<number | null>((resolve) =>
    child.on("exit", (code) => {
      seen(performance.now() - begun)
      resolve(code)
    })
  )
  return {
    ended,
    kill: () => child.kill("SIGKILL"),
    output: () => output,
    /** Milliseconds to the end of the first step, or of the process. */
    firstStep,
    elapsed: () => performance.now() - begun
  }
}

/** Runs `search-r1` to its end, which must be a good one. */
export const finish = async (args: ReadonlyArray<string>) => {
  const run = command(args)
  const code = await run.ended
  if (code !== 0) throw new Error(`search-r1 ${args.join(" ")} ended with ${code}:\n${run.output()}`)
  return { firstStep: await run.firstStep, elapsed: run.elapsed() }
}
