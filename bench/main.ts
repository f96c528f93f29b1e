/**
 * Runs one benchmark: `npm run -s bench -- NAME [--json] [options of the benchmark]`. Each file beside this one exports
 * `run(args)`, which prints for people on stderr and resolves to the numbers; with `--json` they end as one JSON line.
 */
import { readdirSync } from "node:fs"

interface Benchmark {
  readonly run: (args: ReadonlyArray<string>) => Promise<Readonly<Record<string, unknown>>>
}

const names = readdirSync(import.meta.dirname).flatMap((file) =>
  file.endsWith(".ts") && file !== "main.ts" ? [file.slice(0, -3)] : []
)
const [name, ...args] = process.argv.slice(2)
if (name === undefined || !names.includes(name)) {
  process.stderr.write(
    `${name === undefined ? "Name a benchmark" : `There is no benchmark "${name}"`}: ${
      names.join(", ") || "none yet"
    }\n`
  )
  process.exit(2)
}
const benchmark: Benchmark = await import(`./${name}.ts`)
const result = await benchmark.run(args.filter((arg) => arg !== "--json"))
process.stdout.write(args.includes("--json") ? `${JSON.stringify(result)}\n` : `${JSON.stringify(result, null, 2)}\n`)
