/** The mutation run's own parts: which mistakes it makes, and that a file with all of them means what the file means. */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { stripTypeScriptTypes } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { activeVariable, countable, mutated, placeOf, switchable } from "../../scripts/mutate/instrument.ts"
import { mutantsOf } from "../../scripts/mutate/operators.ts"
import reviewed from "../../scripts/mutate/reviewed.json" with { type: "json" }
import { areaOf, below, sample } from "../../scripts/mutate/select.ts"

/** `operator: original -> replacement` of every mutant. */
const mistakes = (code: string) =>
  mutantsOf("src/x.ts", code).map(({ operator, original, replacement }) =>
    `${operator}: ${original} -> ${replacement === "" ? "nothing" : replacement}`
  )

describe("mistakes", () => {
  it.each([
    ["const f = (a, b) => a < b", ["comparison: a < b -> a <= b", "comparison: a < b -> a >= b"]],
    ["const f = (a, b) => a * b", ["arithmetic: a * b -> a / b"]],
    ["const f = (a) => `${a} ` + a", []],
    ["const f = (a, b) => a ?? b", ["side: a ?? b -> a", "side: a ?? b -> b"]],
    ["const f = (a, b) => a && b", ["side: a && b -> a", "side: a && b -> b", "logic: a && b -> (a) || (b)"]],
    ["const f = (a) => !a", ["negation: !a -> a"]],
    ["const f = (a, b, c) => a ? b : c", ["condition: a ? b : c -> b", "condition: a ? b : c -> c"]],
    ["const f = (a) => { if (a) return b }", ["condition: a -> true", "condition: a -> false"]],
    ["const f = () => { g() }", ["statement: g() -> nothing"]],
    ["const n = 3", ["constant: 3 -> 4", "constant: 3 -> 2"]],
    ["const n = 0.5", ["constant: 0.5 -> (0.5 * 2)"]],
    ["const b = true", ["boolean: true -> false"]],
    ["const f = (a) => Math.min(a, b)", [
      "method: Math.min(a, b) -> Math.max(a, b)",
      "argument: b -> nothing"
    ]],
    ["const f = (a) => a.slice(i)", ["call: a.slice(i) -> a"]],
    ["const f = (a) => Effect.ensuring(a, g)", ["call: Effect.ensuring(a, g) -> a", "argument: g -> nothing"]],
    ["const f = (a) => a.pipe(Effect.retry(g))", ["step: Effect.retry(g) -> nothing"]],
    ["const f = (a) => g(a, { b: c, ...d })", [
      "argument: { b: c, ...d } -> nothing",
      "option: b: c -> nothing",
      "option: ...d -> nothing"
    ]],
    ["const r = /^a+$/i", [
      "pattern: /^a+$/i -> /a+$/i",
      "pattern: /^a+$/i -> /^a+/i",
      "pattern: /^a+$/i -> /^a*$/i",
      "pattern: /^a+$/i -> /^a+$/"
    ]],
    ["const s = \"key\"", ["string: \"key\" -> \"\""]],
    ["const f = (a) => `${a}/b`", ["string: `${a}/b` -> `${a}`"]],
    ["const f = (a) => a[i]++", ["update: a[i]++ -> a[i]--"]],
    ["const f = (a) => { a += 1 }", [
      "statement: a += 1 -> nothing",
      "assignment: a += 1 -> a -= 1",
      "constant: 1 -> 2",
      "constant: 1 -> 0"
    ]],
    ["const a = [b]", ["list: [b] -> []"]]
  ])("of %s", (code, expected) => {
    assert.deepStrictEqual(mistakes(code).toSorted(), expected.toSorted())
  })

  it.each([
    ["words for people", "const s = \"words for people\""],
    [
      "names of spans and services",
      "const f = Effect.fn(\"Rollout.run\"); class S extends Context.Service<S>()(\"a/B\") {}"
    ],
    ["types and imports", "import { a } from \"./b.ts\"\ntype T = \"x\" | 3\ninterface I { readonly a: 1 }"],
    ["constants that are types", "const a = \"x\" as const"],
    ["keys", "const f = () => { return { \"a-b\": c } }"]
  ])("none in %s", (_, code) => assert.deepStrictEqual(mistakes(code), []))

  it("keep their names when the lines around them move, and lose them when they change", () => {
    const ids = (code: string) => mutantsOf("src/x.ts", code).map(({ id }) => id)
    const before = "const f = (a) => a + 1\n"
    assert.deepStrictEqual(ids(`// a comment\n\n${before}`), ids(before))
    assert.notDeepEqual(ids(before.replace("f", "g")), ids(before))
    assert.strictEqual(new Set(ids("const f = () => [1, 1, 1]")).size, 7)
  })
})

describe("a file with all its mistakes", () => {
  const code = `
    const process = /^x+/
    const seen: Array<number> = []
    const note = (n: number) => { seen.push(n) }
    export const run = (a: number, b?: { readonly c?: ReadonlyArray<number> }) => {
      seen.length = 0
      if (a > 2) note(a)
      else note(0)
      const texts = [\`\${a}/x\`, "y"].filter((text) => text !== "")
      const options = Object.assign({ first: 1 }, { second: a, ...b })
      let sum = b?.c?.slice(1)[0] ?? -1
      for (let i = 0; i < a && i < 5; i++) sum += i
      return JSON.stringify([seen, texts, options, sum, process.exec("axx")?.[0] ?? null])
    }
  `
  const file = "src/x.ts"
  const mutants = mutantsOf(file, code)
  const folder = mkdtempSync(join(tmpdir(), "mutate-test-"))

  /** What \`run\` gives for several arguments, or that it does not end well. */
  const behaviour = async (name: string, text: string): Promise<ReadonlyArray<string>> => {
    const path = join(folder, `${name}.mjs`)
    writeFileSync(path, stripTypeScriptTypes(text))
    const { run }: { run: (a: number, b?: object) => string } = await import(pathToFileURL(path).href)
    return [[1], [3, { c: [4, 5] }], [9, {}]].map((args) => {
      try {
        return run(...args as [number, object])
      } catch (error) {
        return String(error)
      }
    })
  }

  it("means the file where none is active, and exactly one of them where it is; its place was counted if it shows", async () => {
    assert.isAbove(mutants.length, 40)
    writeFileSync(
      join(folder, "hits.mjs"),
      "export const places = new Set(); export const counter = () => (n) => places.add(n)"
    )
    const { places }: { places: ReadonlySet<number> } = await import(pathToFileURL(join(folder, "hits.mjs")).href)
    const all = switchable(file, code, mutants)
    const plain = await behaviour("plain", code)
    assert.deepStrictEqual(await behaviour("none", all), plain)
    assert.deepStrictEqual(await behaviour("counted", countable(file, code, mutants, "./hits.mjs")), plain)
    let different = 0
    for (const [index, mutant] of mutants.entries()) {
      // a loop whose step is turned around does not end
      if (mutant.operator === "update") continue
      process.env[activeVariable] = `${file}:${index + 1}`
      try {
        const found = await behaviour(`switched-${index}`, all)
        assert.deepStrictEqual(
          found,
          await behaviour(`alone-${index}`, mutated(code, mutant)),
          `${mutant.original} -> ${mutant.replacement}`
        )
        if (found.join() === plain.join()) continue
        different++
        assert.isTrue(places.has(placeOf(mutant, mutants)), `${mutant.original} -> ${mutant.replacement}`)
      } finally {
        delete process.env[activeVariable]
      }
    }
    assert.isAbove(different, 25)
    rmSync(folder, { recursive: true })
  })

  it("is TypeScript that can be stripped, for every source of the project, and counts the same places", () => {
    const files = globSync("src/**/*.ts")
    assert.isAbove(files.length, 300)
    for (const path of files.filter((_, at) => at % 8 === 0)) {
      const source = readFileSync(path, "utf8")
      const found = mutantsOf(path, source)
      for (const text of [switchable(path, source, found), countable(path, source, found, "hits.ts")]) {
        stripTypeScriptTypes(text)
        assert.isTrue(found.length === 0 || text !== source)
      }
    }
  })
})

describe("which mistakes a run makes", () => {
  const mutants = ["domain", "services", "programs", "layers", "cli"].flatMap((area) =>
    mutantsOf(
      `src/${area}/a/b.ts`,
      "export const f = (a) => [1, 2, 3, 4, 5, 6, 7, 8].map((n) => a + n < 7 && n > 2)".repeat(3).replaceAll(
        ")export",
        ")\nexport"
      ).replaceAll("const f", "const f")
    )
  )

  it("is a matter of the seed alone, and of all areas", () => {
    const drawn = sample(mutants, 50, 1)
    assert.deepStrictEqual(sample(mutants.toReversed(), 50, 1).map(({ id }) => id), drawn.map(({ id }) => id))
    assert.notDeepEqual(sample(mutants, 50, 2).map(({ id }) => id), drawn.map(({ id }) => id))
    assert.strictEqual(new Set(drawn.map(({ file }) => areaOf(file))).size, 5)
    assert.isAtMost(Math.abs(drawn.length - 50), 3)
  })

  it("is a folder's or a file's where one is named", () => {
    assert.deepStrictEqual(below(mutants, "src/domain"), mutants.filter(({ file }) => file === "src/domain/a/b.ts"))
    assert.deepStrictEqual(below(mutants, "./src/domain/a/b.ts/"), below(mutants, "src/domain"))
    assert.deepStrictEqual(below(mutants, "src/dom"), [])
  })
})

describe("what is reviewed", () => {
  const equivalent: ReadonlyArray<{ readonly id: string; readonly file: string; readonly reason: string }> =
    reviewed.equivalent

  it("has a reason, and mutants that exist", () => {
    for (const { file, id, reason } of equivalent) {
      assert.isAbove(reason.split(" ").length, 2, id)
      assert.include(mutantsOf(file, readFileSync(file, "utf8")).map((mutant) => mutant.id), id, file)
    }
  })

  it("names places that exist, and what they need", () => {
    for (const { needs, path } of reviewed.elsewhere) {
      assert.isTrue(existsSync(path), path)
      assert.notStrictEqual(needs, "")
    }
  })
})
