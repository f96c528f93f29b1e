import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import * as Prng from "../../../src/domain/Prng.ts"
import * as Permutation from "../../../src/domain/world/Permutation.ts"
import { relationsOf } from "../../../src/domain/world/Relations.ts"
import * as World from "../../../src/domain/world/World.ts"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const sized = (passages: number): World.Size => Result.getOrThrow(World.sizeOf(passages))

/** Everything that a world says. */
const facts = (world: World.World) => Array.from({ length: world.entities }, (_, index) => world.entity(index))

describe("Permutation", () => {
  it.prop(
    "visits every number once, and finds its way back",
    { size: between(1, 700), seed: between(0, 1000) },
    ({ seed, size }) => {
      const permutation = Permutation.make(Prng.make(String(seed)), size)
      const image = Array.from({ length: size }, (_, index) => permutation.at(index))
      assert.deepStrictEqual([...image].sort((a, b) => a - b), Array.from({ length: size }, (_, index) => index))
      image.forEach((value, index) => assert.strictEqual(permutation.indexOf(value), index))
    }
  )

  it("permutes up to 2^32 numbers", () => {
    const permutation = Permutation.make(Prng.make("large"), 2 ** 32)
    for (const index of [0, 1, 2 ** 31, 2 ** 32 - 1]) {
      const value = permutation.at(index)
      assert.isTrue(value >= 0 && value < 2 ** 32)
      assert.strictEqual(permutation.indexOf(value), index)
    }
  })
})

describe("World", () => {
  const world = World.make({ seed: "a test" })

  it("is the same for the same seed and another for another", () => {
    assert.deepStrictEqual(facts(World.make({ seed: "a test" })), facts(world))
    const other = World.make({ seed: "another test" })
    const names = new Set(facts(world).map(({ name }) => name))
    assert.isBelow(facts(other).filter(({ name }) => names.has(name)).length, 40)
  })

  it("lists its passages as often as they are asked for", () => {
    const documents = World.documents(world)
    assert.strictEqual([...documents].length, world.entities)
    assert.deepStrictEqual([...documents], [...documents])
  })

  it("tells the same whatever was asked before", () => {
    const fresh = World.make({ seed: "a test" })
    for (const index of [399, 0, 17]) assert.deepStrictEqual(fresh.entity(index), world.entity(index))
  })

  it.prop(
    "has no name twice, in any order of its words, and finds every entity by its name",
    { passages: between(20, 1500), seed: between(0, 1000) },
    ({ passages, seed }) => {
      const world = World.make({ seed: String(seed), size: sized(passages) })
      assert.strictEqual(world.entities, passages)
      const names = new Set<string>()
      for (let index = 0; index < world.entities; index++) {
        const name = world.nameOf(index)
        names.add(name.toLowerCase().split(" ").sort().join(" "))
        assert.strictEqual(world.find(name), index)
        assert.strictEqual(world.find(name.toLowerCase()), index)
      }
      assert.strictEqual(names.size, passages)
    },
    { arbitrary: { runs: 15 } }
  )

  it("knows no names but its own", () => {
    const known = new Set(facts(world).map(({ name }) => name.toLowerCase()))
    for (const name of ["", "kalen", "kalen kalen", "kalen works works", "Doc 1", "nobody here"]) {
      assert.strictEqual(world.find(name) !== undefined, known.has(name), name)
    }
    const others = facts(World.make({ seed: "others" }))
    assert.isAbove(others.length, 100)
    for (const other of others) {
      assert.strictEqual(world.find(other.name) !== undefined, known.has(other.name.toLowerCase()), other.name)
    }
  })

  it("is consistent: every fact names an entity of the right kind, and marriage goes both ways", () => {
    for (const entity of facts(world)) {
      assert.deepStrictEqual(entity.facts.map(({ relation }) => relation), [...relationsOf[entity.kind]])
      for (const { entity: object, relation, value } of entity.facts) {
        if (object === undefined) {
          assert.include(["country", "job", "product"], relation.object)
          continue
        }
        assert.strictEqual(world.entity(object).kind, relation.object)
        assert.strictEqual(world.entity(object).name, value)
        if (relation.noun === "spouse") {
          assert.notStrictEqual(object, entity.index)
          const back = world.entity(object).facts.find((fact) => fact.relation === relation)
          assert.strictEqual(back?.entity, entity.index)
        }
      }
    }
  })

  it("says in a passage all facts of its entity, the first of them by name", () => {
    for (const { facts: all, name, text } of facts(world)) {
      for (const { value } of all) assert.include(text, value)
      assert.strictEqual(text.match(/\./g)?.length, all.length)
      assert.include(text.slice(0, text.indexOf(".")), name)
      assert.match(text, /^[A-Z]/)
      assert.notMatch(text, /[{}]|undefined/)
    }
  })

  it("spreads values evenly", () => {
    const counts = new Map<string, number>()
    for (const { facts: all } of facts(World.make({ seed: "spread", size: sized(4000) }))) {
      for (const { relation, value } of all) {
        if (relation.object === "job") counts.set(value, (counts.get(value) ?? 0) + 1)
      }
    }
    assert.strictEqual(counts.size, 14)
    // 3,000 people with 14 jobs: 214 each, standard deviation 14
    for (const count of counts.values()) assert.closeTo(count, 214, 70)
  })

  it("makes any passage of a world of a million, ids and names all different", () => {
    const large = World.make({ seed: "large", size: sized(1_000_000) })
    assert.strictEqual(large.entities, 1_000_000)
    const names = new Set<string>()
    for (let index = 0; index < large.entities; index += 997) {
      const { id, text, title } = World.document(large, index)
      assert.strictEqual(id, String(index))
      assert.strictEqual(large.find(title.slice(1, -1)), index)
      assert.isAbove(text.length, 40)
      names.add(title)
    }
    assert.strictEqual(names.size, 1004)
  })

  it.each([0, 19, -1, 20.5, 10_000_001, Number.NaN, Number.POSITIVE_INFINITY])("refuses %d passages", (passages) => {
    const size = World.sizeOf(passages)
    assert.isTrue(Result.isFailure(size))
    if (Result.isFailure(size)) assert.match(size.failure.message, /20 to 10000000 passages/)
  })

  it("shares passages out as the default does", () => {
    assert.deepStrictEqual(sized(400), World.defaultSize)
  })
})
