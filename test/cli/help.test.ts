import { describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { assert } from "vitest"

const entry = fileURLToPath(new URL("../../src/cli.ts", import.meta.url))

const callWith = (env: Record<string, string>, ...args: ReadonlyArray<string>) => {
  const { status, stderr, stdout } = spawnSync(process.execPath, [entry, ...args], {
    encoding: "utf8",
    env: { ...process.env, ...env }
  })
  return { status, errors: stderr.trimEnd().split("\n"), stdout }
}

const call = (...args: ReadonlyArray<string>) => callWith({}, ...args)

describe("the command line", () => {
  const wrong: ReadonlyArray<readonly [args: ReadonlyArray<string>, error: string]> = [
    [["serve", "--prot", "80"], "error: there is no flag --prot here; did you mean --port?"],
    [
      ["serve", "--port", "70000"],
      "error: --port 70000: expected a whole number from 0 to 65535; the nearest is 65535"
    ],
    [["serve", "--engine", "bm52"], "error: --engine bm52: expected lunr or bm25; did you mean bm25?"],
    [["search", "x", "--top-k", "abc"], "error: --top-k abc: expected a whole number"],
    [["sreve"], "error: there is no command sreve; did you mean serve?"]
  ]

  for (const [args, error] of wrong) {
    it(`answers ${args.join(" ")} with the error and the usage line, on standard error alone`, () => {
      const { errors, status, stdout } = call(...args)
      assert.strictEqual(stdout, "")
      assert.strictEqual(status, 1)
      assert.strictEqual(errors[0], error)
      assert.match(errors[1] ?? "", /^usage: search-r1 /)
      assert.match(errors[2] ?? "", /--help tells more$/)
      assert.strictEqual(errors.length, 3)
    })
  }

  it("names the variable of the environment that holds a wrong value", () => {
    const collector = callWith({ OTEL_EXPORTER_OTLP_ENDPOINT: "foo" }, "runs")
    assert.deepStrictEqual(collector, {
      status: 1,
      errors: [
        "error: OTEL_EXPORTER_OTLP_ENDPOINT=foo: expected the URL of a collector, e.g. http://127.0.0.1:4318"
      ],
      stdout: ""
    })
  })

  it("tells the defaults of flags in its help, in lines that fit", () => {
    const { status, stdout } = call("serve", "--help")
    assert.strictEqual(status, 0)
    const text = stdout.replace(/\s+/g, " ")
    assert.include(text, "Port to listen on; 0 takes any that is free (default 8000)")
    assert.include(text, "(default 127.0.0.1)")
    for (const line of stdout.split("\n")) assert.isAtMost(line.length, 100, line)
  })
})
