/**
 * What the search world costs: worlds, pretraining texts, and passages of a large corpus per second of processor time. Texts must be far
 * cheaper than the training that consumes them. The baseline is the prototype in Python (`world.py`, found in
 * `../shared/prototypes/learning` or named with `--prototype FILE`), with the same sizes and mixture in one process; what
 * its texts are like is told beside ours.
 */
import { execFileSync } from "node:child_process"
import { existsSync } from "node:fs"
import { dirname } from "node:path"
import { fileURLToPath } from "node:url"
import { parseAction } from "../src/domain/Protocol.ts"
import * as Pretraining from "../src/domain/world/Pretraining.ts"
import type { Example } from "../src/domain/world/PretrainingTexts.ts"
import * as World from "../src/domain/world/World.ts"
import * as WorldSearch from "../src/domain/world/WorldSearch.ts"

const recipe: Pretraining.Recipe = {
  ...Pretraining.defaultRecipe,
  seed: "bench",
  // the prototype always shows two passages
  texts: { ...Pretraining.defaultRecipe.texts, topK: [2] }
}

const batches = 40

const prototype = `
import sys, time, json, random
sys.path.insert(0, sys.argv[1])
from world import *
def repeat(w, r):
    d = []
    for i in r.sample(range(len(w.docs)), 2): d += w.docs[i] + ["|"]
    return d + d, [0] * len(d) + [1] * len(d)
n = int(sys.argv[2])
t = time.process_time()
for s in range(n): World(s)
worlds = n / (time.process_time() - t)
kinds = {}; examples = tokens = 0; t = time.process_time()
for s in range(n):
    r = random.Random(s); w = World(s)
    for _ in range(128):
        u = r.random()
        if u < .04: k = "encyclopedia"; e, m = ency(w, r)
        elif u < .16: k = "repeated"; e, m = repeat(w, r)
        elif u < .46: k = "quiz"; e, m = quiz(w, r, 2)
        elif u < .66: k = "reading"; e, m = reading(w, r, 2, (.4, .5, .1), 0)
        else: k = "transcript"; e, m = rough(w, r, 2, (.44, .6, .5, .25), .6, .9, iw=0)
        i = enc(e); examples += 1; tokens += len(i)
        c = kinds.setdefault(k, dict(examples=0, tokens=0, learned=0, searches=0)); c["examples"] += 1; c["tokens"] += len(i)
        c["learned"] += sum(m); c["searches"] += e.count("<search>")
s = time.process_time() - t
print(json.dumps(dict(worlds=worlds, examples=examples / s, tokens=tokens / s, kinds=kinds)))
`

interface Sums {
  examples: number
  tokens: number
  learned: number
  searches: number
}

interface Rates {
  readonly worlds: number
  readonly examples: number
  readonly tokens: number
  readonly kinds: Readonly<Record<string, Sums>>
}

/** Seconds of processor time, garbage collection included: what else runs on the machine matters less. */
const seconds = (run: () => void): number => {
  const start = process.cpuUsage()
  run()
  const { system, user } = process.cpuUsage(start)
  return (system + user) / 1e6
}

const searchesOf = ({ ids, kind, lossMask }: Example): number => {
  if (kind !== "transcript") return 0
  let searches = 0
  for (let start = 0; start < ids.length;) {
    let end = start + 1
    while (end < ids.length && lossMask[end] === lossMask[start]) end++
    const text = recipe.vocabulary.decode(ids.subarray(start, end))
    if (lossMask[start] === 1 && parseAction(text)._tag === "Search") searches++
    start = end
  }
  return searches
}

const ours = (): Rates => {
  const made: Array<ReadonlyArray<Example>> = []
  const worldSeconds = seconds(() => {
    for (let seed = 0; seed < batches; seed++) {
      const world = World.make({ seed: String(seed) })
      WorldSearch.make(world, recipe.vocabulary).search("kalen dador", 2)
    }
  })
  const batchSeconds = seconds(() => {
    for (let step = 0; step < batches; step++) made.push(Pretraining.batch(recipe, recipe.copySteps + step))
  })
  const kinds: Record<string, Sums> = {}
  let [examples, tokens] = [0, 0]
  for (const example of made.flat()) {
    const sums = kinds[example.kind] ??= { examples: 0, tokens: 0, learned: 0, searches: 0 }
    sums.examples++
    sums.tokens += example.ids.length
    sums.learned += example.lossMask.reduce((sum, learned) => sum + learned, 0)
    sums.searches += searchesOf(example)
    examples++
    tokens += example.ids.length
  }
  return { worlds: batches / worldSeconds, examples: examples / batchSeconds, tokens: tokens / batchSeconds, kinds }
}

const theirs = (args: ReadonlyArray<string>): Rates | undefined => {
  const named = args[args.indexOf("--prototype") + 1]
  const file = args.includes("--prototype") && named !== undefined
    ? named
    : fileURLToPath(new URL("../../shared/prototypes/learning/world.py", import.meta.url))
  if (!existsSync(file)) {
    process.stderr.write(`${file} is absent: no comparison with the prototype\n`)
    return undefined
  }
  return JSON.parse(execFileSync("python3", ["-c", prototype, dirname(file), String(batches)], { encoding: "utf8" }))
}

const describe = (rates: Rates): string =>
  Object.entries(rates.kinds).sort().map(([kind, { examples, learned, searches, tokens }]) => {
    const total = Object.values(rates.kinds).reduce((sum, other) => sum + other.examples, 0)
    return `  ${kind}: ${(100 * examples / total).toFixed(1)} %, ${(tokens / examples).toFixed(1)} tokens, ${
      (learned / examples).toFixed(1)
    } learned, ${(searches / examples).toFixed(2)} searches\n`
  }).join("")

const largePassages = 100_000

export const run = async (args: ReadonlyArray<string>) => {
  ours()
  const own = ours()
  const peer = theirs(args)
  process.stderr.write(`ours:\n${describe(own)}`)
  if (peer !== undefined) process.stderr.write(`prototype:\n${describe(peer)}`)
  const large = World.make({
    seed: "large",
    size: { people: 0.75 * largePassages, companies: 0.15 * largePassages, cities: 0.1 * largePassages, countries: 200 }
  })
  let characters = 0
  const largeSeconds = seconds(() => {
    for (const { text } of World.documents(large)) characters += text.length
  })
  if (characters < 40 * largePassages) throw new Error("the passages are too short")
  const rounded = (value: number) => Math.round(value)
  return {
    worldsPerSecond: rounded(own.worlds),
    examplesPerSecond: rounded(own.examples),
    tokensPerSecond: rounded(own.tokens),
    passagesPerSecond: rounded(largePassages / largeSeconds),
    ...(peer !== undefined && {
      prototypeWorldsPerSecond: rounded(peer.worlds),
      prototypeExamplesPerSecond: rounded(peer.examples),
      prototypeTokensPerSecond: rounded(peer.tokens),
      worldsRatio: Number((own.worlds / peer.worlds).toFixed(2)),
      tokensRatio: Number((own.tokens / peer.tokens).toFixed(2))
    })
  }
}
