import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { Command } from "effect/cli"
import { ablate } from "../../src/cli/ablate.ts"
import { runs } from "../../src/cli/runs.ts"
import * as Tiny from "../support/tinyRun.ts"

const ablating = Tiny.outcome(Command.runWith(ablate, { version: "0" }))
const ofRuns = Tiny.outcome(Command.runWith(runs, { version: "0" }))

const topics = [{
  topic: "what",
  title: "What is found",
  variants: [
    { name: "lunr", set: {} },
    { name: "random ones", set: { retriever: { kind: "random" } } }
  ]
}]

describe("search-r1 ablate", () => {
  it.live(
    "trains each variant once, writes a table and curves, and draws the same from the runs",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const directory = yield* fs.makeTempDirectoryScoped()
        yield* fs.writeFileString(`${directory}/topics.json`, JSON.stringify(topics))
        const out = `${directory}/out`
        const flags = [
          out,
          "--topics",
          `${directory}/topics.json`,
          "--steps=1",
          "--questions=8",
          "--set",
          "rollout.prompts=2",
          "--set",
          "rollout.groupSize=2"
        ]
        const first = yield* ablating(flags)
        assert.isUndefined(first.error)
        const report = yield* fs.readFileString(`${out}/ablations.md`)
        assert.match(report, /^\| lunr \| 1 \| \d\.\d\d /m)
        assert.match(report, /^\| random ones \| 1 \| \d\.\d\d /m)
        const curves = yield* fs.readFileString(`${out}/what.svg`)
        assert.include(curves, "greedy exact match, evaluation")
        assert.deepStrictEqual([...(yield* fs.readDirectory(`${out}/runs`))].sort(), ["lunr-0", "random-ones-0"])

        const again = yield* ablating(flags)
        assert.strictEqual([...again.output.matchAll(/trained before/g)].length, 2)
        assert.strictEqual(yield* fs.readFileString(`${out}/ablations.md`), report)

        const plotted = yield* ofRuns([
          "plot",
          `lunr=${out}/runs/lunr-0`,
          `random ones=${out}/runs/random-ones-0`,
          "--title",
          "What is found",
          "--out",
          `${directory}/plot.svg`
        ])
        assert.isUndefined(plotted.error)
        assert.strictEqual(yield* fs.readFileString(`${directory}/plot.svg`), curves)
        const missing = yield* ofRuns([
          "plot",
          `${out}/runs/lunr-0`,
          "--out",
          `${directory}/x.svg`,
          "-m",
          "actor/nothing"
        ])
        assert.match(missing.error ?? "", /none of the runs has the metric actor\/nothing\nThere are actor\//)

        assert.match(
          (yield* ablating([out, "--topic", "masks"])).error ?? "",
          /There is no topic masks.\nThere are algorithm, mask/
        )
        yield* fs.writeFileString(
          `${directory}/topics.json`,
          JSON.stringify([{ ...topics[0], variants: [{ name: "../x", set: {} }] }])
        )
        assert.match((yield* ablating(flags)).error ?? "", /it names a directory/)
      }).pipe(Effect.provide(NodeServices.layer)),
    60_000
  )
})
