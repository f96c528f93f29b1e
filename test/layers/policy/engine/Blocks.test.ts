import { assert, it } from "@effect/vitest"
import * as Prng from "../../../../src/domain/Prng.ts"
import { Blocks } from "../../../../src/layers/policy/engine/Blocks.ts"

it("hands out the lowest block that nobody holds, never one twice, and grows", () => {
  const prng = Prng.make("blocks")
  const blocks = new Blocks(20)
  const holders = new Map<number, number>()
  const lowest = () => {
    for (let block = 1; block < blocks.count; block++) if (!holders.has(block)) return block
    return undefined
  }
  for (let turn = 0; turn < 3000; turn++) {
    const held = [...holders.keys()]
    const some = held[prng.below(Math.max(1, held.length))]
    const what = prng.below(5)
    if (what < 2) {
      const block = blocks.take()
      assert.strictEqual(block, lowest())
      if (block !== undefined) holders.set(block, 1)
    } else if (what === 2 && some !== undefined) {
      blocks.share(some)
      holders.set(some, (holders.get(some) ?? 0) + 1)
    } else if (some !== undefined) {
      blocks.release(some)
      const left = (holders.get(some) ?? 0) - 1
      if (left === 0) holders.delete(some)
      else holders.set(some, left)
    }
    if (turn % 1000 === 999) blocks.grow(blocks.count + 10)
    assert.strictEqual(blocks.used, holders.size)
    assert.strictEqual(blocks.available, blocks.count - 1 - holders.size)
  }
})
