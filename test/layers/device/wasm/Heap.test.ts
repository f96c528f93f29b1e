import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Prng from "../../../../src/domain/Prng.ts"
import { Heap } from "../../../../src/layers/device/wasm/Heap.ts"

const Seed = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))
const begin = 65536

/** A heap that may grow to `limit` bytes, in steps of at least 64 KiB. */
const heapOf = (initial: number, limit: number): Heap => {
  let size = initial
  return new Heap(begin, begin + initial, (bytes) => {
    const step = Math.max(65536, Math.ceil(bytes / 65536) * 65536)
    const given = size + step <= limit ? step : 0
    size += given
    return given
  })
}

describe("Heap", () => {
  it.prop("hands out aligned blocks that never overlap and merges what comes back", [Seed], ([seed]) => {
    const prng = Prng.make(`heap/${seed}`)
    const heap = heapOf(1 << 16, 1 << 22)
    const live = new Map<number, number>()
    let refused = 0
    for (let i = 0; i < 300; i++) {
      if (live.size > 0 && prng.float() < 0.45) {
        const addresses = [...live.keys()]
        const address = addresses[prng.below(addresses.length)] ?? 0
        heap.release(address)
        live.delete(address)
        continue
      }
      const bytes = 1 + prng.below(prng.float() < 0.2 ? 400_000 : 3000)
      const address = heap.allocate(bytes)
      if (address === 0) refused++
      else {
        assert.strictEqual(address % 64, 0)
        assert.isAtLeast(address, begin)
        assert.isAtMost(address + bytes, heap.end)
        for (const [other, size] of live) {
          if (address + bytes > other && other + size > address) assert.fail(`${address} overlaps ${other}`)
        }
        live.set(address, bytes)
      }
      const needed = [...live.values()].reduce((sum, size) => sum + Math.ceil(size / 64) * 64, 0)
      assert.strictEqual(heap.liveBytes, needed)
      assert.strictEqual(heap.liveBlocks, live.size)
    }
    for (const address of live.keys()) heap.release(address)
    assert.strictEqual(heap.liveBytes, 0)
    assert.strictEqual(heap.largestFree(), heap.end - begin, "all memory is one block again")
    assert.isAtMost(refused, 300)
  })

  it("takes the same memory again for a loop that repeats its shapes", () => {
    const heap = heapOf(1 << 16, 1 << 30)
    const step = () => {
      const kept = [4096, 819200, 640, 2457600].map((bytes) => heap.allocate(bytes))
      const short = [819200, 819200, 100].map((bytes) => heap.allocate(bytes))
      for (const address of [...short, ...kept]) heap.release(address)
    }
    step()
    const { end } = heap
    for (let i = 0; i < 100; i++) step()
    assert.strictEqual(heap.end, end)
  })

  it("refuses what cannot be had, and works on", () => {
    const heap = heapOf(1 << 16, 1 << 20)
    assert.strictEqual(heap.allocate(1 << 21), 0)
    assert.isAbove(heap.allocate(1 << 19), 0)
    assert.strictEqual(heap.allocate((1 << 19) + 64), 0)
    assert.isAbove(heap.allocate(1 << 16), 0)
  })

  it("does not take back what it has not given", () => {
    const heap = heapOf(1 << 16, 1 << 16)
    const address = heap.allocate(10)
    heap.release(address)
    assert.throws(() => heap.release(address), /no block/)
  })
})
