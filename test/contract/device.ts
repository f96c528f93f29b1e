/** The suite that every device passes: each operation and each gradient against a float64 reference in plain JavaScript. */
import { assert, describe, it } from "@effect/vitest"
import * as tf from "@tensorflow/tfjs-core"
import { Effect, Fiber, type Layer } from "effect"
import * as Ops from "../../src/layers/device/ops/index.ts"
import { Device } from "../../src/services/Device.ts"
import * as Reference from "./reference.ts"

type Numbers = Reference.Numbers

/** A small generator with a seed, uniform in (-1, 1). */
const random = (seed: number) => {
  let state = seed
  return (length: number, scale = 1): Numbers =>
    Float64Array.from({ length }, () => {
      state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9 | 0
      return Math.fround(((state >>> 0) / 2 ** 31 - 1) * scale)
    })
}

/** How far results of the device under test may lie from the reference's, relative to the largest of them. */
let tolerance = 1e-4

const close = (actual: ArrayLike<number>, expected: ArrayLike<number>, what: string) => {
  assert.strictEqual(actual.length, expected.length, `${what}: length`)
  let scale = 0
  for (let i = 0; i < expected.length; i++) scale = Math.max(scale, Math.abs(expected[i]!))
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i]! - expected[i]!)
    if (!(error <= tolerance * Math.max(scale, 1e-3))) {
      assert.fail(`${what}[${i}] is ${actual[i]}, the reference has ${expected[i]} (scale ${scale})`)
    }
  }
}

const f32 = (values: Numbers, shape: Array<number>) => tf.tensor(Float32Array.from(values), shape)
const i32 = (values: Int32Array) => tf.tensor1d(values, "int32")
const data = (tensor: tf.Tensor) => tensor.dataSync()

/** Compares value and gradients of a differentiable operation with the reference's. */
const checkGradients = (
  what: string,
  operation: (...inputs: Array<tf.Tensor>) => tf.Tensor,
  reference: (inputs: ReadonlyArray<Numbers>) => Numbers,
  inputs: ReadonlyArray<readonly [values: Numbers, shape: Array<number>]>,
  seed: number
) => {
  const values = inputs.map(([value]) => value)
  const expected = reference(values)
  const dy = random(seed)(expected.length)
  const tensors = inputs.map(([value, shape]) => f32(value, shape))
  const y = operation(...tensors)
  close(data(y), expected, what)
  const gradients = tf.grads((...xs: Array<tf.Tensor>) => operation(...xs))(tensors, f32(dy, y.shape))
  gradients.forEach((gradient, i) => {
    close(data(gradient), Reference.numericGradient(reference, values, i, dy), `d${what}/d(input ${i})`)
  })
}

export const deviceContract = <E>(
  name: string,
  layer: Layer.Layer<Device, E>,
  options?: { readonly tolerance: number }
): void => {
  describe(`${name} as a device`, () => {
    const onDevice = (what: string, compute: () => void) =>
      it.effect(what, () =>
        Effect.gen(function*() {
          const device = yield* Device
          const before = yield* device.memory
          tolerance = options?.tolerance ?? 1e-4
          yield* device.run(compute)
          assert.deepStrictEqual(yield* device.memory, before)
        }).pipe(Effect.provide(layer)))

    for (const [n, d] of [[7, 16], [64, 128], [33, 64]] as const) {
      onDevice(`rmsNorm ${n} x ${d}`, () => {
        const r = random(n)
        const x = r(n * d)
        const w = r(d)
        const forward = Ops.rmsNorm(f32(x, [n, d]), f32(w, [d]), 1e-6)
        close(data(forward), Reference.rmsNorm(x, w, 1e-6), "rmsNorm")
      })
    }
    onDevice("rmsNorm gradients", () => {
      const r = random(1)
      checkGradients("rmsNorm", (x, w) => Ops.rmsNorm(x!, w!, 1e-5), ([x, w]) => Reference.rmsNorm(x!, w!, 1e-5), [
        [r(5 * 8), [5, 8]],
        [r(8), [8]]
      ], 2)
    })

    onDevice("reductions over one axis", () => {
      const [rows, columns] = [3, 37]
      const x = random(11)(rows * columns, 4)
      const tensor = f32(x, [rows, columns])
      const row = (i: number) => Array.from(x.slice(i * columns, (i + 1) * columns))
      const column = (i: number) => Array.from({ length: rows }, (_, r) => x[r * columns + i]!)
      const total = (values: ReadonlyArray<number>) => values.reduce((a, b) => a + b)
      const logSumExp = (values: ReadonlyArray<number>) => Math.log(total(values.map(Math.exp)))
      for (
        const [what, reduce, expected] of [
          ["max", tf.max, (values: ReadonlyArray<number>) => Math.max(...values)],
          ["min", tf.min, (values: ReadonlyArray<number>) => Math.min(...values)],
          ["sum", tf.sum, total],
          ["mean", tf.mean, (values: ReadonlyArray<number>) => total(values) / values.length],
          ["logSumExp", tf.logSumExp, logSumExp]
        ] as const
      ) {
        for (const keepDims of [false, true]) {
          const along = (axis: number) => reduce<tf.Tensor>(tensor, axis, keepDims)
          assert.deepStrictEqual(along(1).shape, keepDims ? [rows, 1] : [rows])
          close(data(along(1)), Float64Array.from({ length: rows }, (_, i) => expected(row(i))), `${what} of rows`)
          close(
            data(along(0)),
            Float64Array.from({ length: columns }, (_, i) => expected(column(i))),
            `${what} of columns`
          )
        }
      }
    })

    onDevice("reductions over several axes, side by side and apart", () => {
      const shape = [2, 3, 4, 5] as const
      const x = random(12)(120, 4)
      const tensor = f32(x, [...shape])
      for (const axes of [[0], [3], [0, 1], [1, 2], [2, 3], [0, 2], [1, 3], [0, 3], [0, 1, 3], [0, 1, 2, 3]]) {
        // what is summed into one place: all elements whose other coordinates are the same
        const cells = new Map<string, Array<number>>()
        x.forEach((value, at) => {
          const place = [Math.floor(at / 60), Math.floor(at / 20) % 3, Math.floor(at / 5) % 4, at % 5]
          const key = place.filter((_, axis) => !axes.includes(axis)).join()
          cells.set(key, [...cells.get(key) ?? [], value])
        })
        const expected = (of: (values: ReadonlyArray<number>) => number) => Float64Array.from([...cells.values()], of)
        const kept = shape.filter((_, axis) => !axes.includes(axis))
        assert.deepStrictEqual(tf.sum(tensor, axes).shape, kept)
        assert.deepStrictEqual(
          tf.sum(tensor, axes, true).shape,
          shape.map((size, axis) => axes.includes(axis) ? 1 : size)
        )
        close(data(tf.sum(tensor, axes)), expected((values) => values.reduce((a, b) => a + b)), `sum over ${axes}`)
        close(
          data(tf.mean(tensor, axes)),
          expected((values) => values.reduce((a, b) => a + b) / values.length),
          `mean over ${axes}`
        )
        close(data(tf.max(tensor, axes)), expected((values) => Math.max(...values)), `max over ${axes}`)
        close(data(tf.min(tensor, axes)), expected((values) => Math.min(...values)), `min over ${axes}`)
      }
    })

    for (const inverse of [false, true]) {
      onDevice(`rope${inverse ? " inverse" : ""} and its gradient`, () => {
        const [tokens, heads, dim, table] = [6, 3, 8, 40]
        const r = random(3)
        const positions = Int32Array.of(0, 1, 2, 0, 17, 39)
        const angle = r(table * dim / 2, 3)
        const [cos, sin] = [angle.map(Math.cos), angle.map(Math.sin)]
        const angles = Ops.rotary(i32(positions), f32(cos, [table, dim / 2]), f32(sin, [table, dim / 2]))
        const x = r(tokens * heads * dim)
        if (inverse) {
          const y = Ops.ropeForward(f32(x, [tokens, heads, dim]), angles, true)
          close(data(y), Reference.rope(x, positions, cos, sin, heads, dim, true), "rope inverse")
        } else {
          checkGradients(
            "rope",
            (x) => Ops.rope(x!, angles),
            ([x]) => Reference.rope(x!, positions, cos, sin, heads, dim),
            [[x, [tokens, heads, dim]]],
            4
          )
        }
      })
    }

    const attentions = [
      { what: "one head each", lengths: [5, 5], heads: 2, kv: 2, dim: 4 },
      { what: "grouped queries, unequal lengths", lengths: [3, 1, 6], heads: 4, kv: 2, dim: 4 },
      { what: "one key head", lengths: [4], heads: 3, kv: 1, dim: 6 }
    ]
    for (const { dim, heads, kv, lengths, what } of attentions) {
      onDevice(`attention and its gradients: ${what}`, () => {
        const cuSeqlens = Int32Array.of(0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b)))
        const tokens = cuSeqlens.at(-1)!
        const r = random(tokens)
        const packing = Ops.packing(cuSeqlens)
        const scale = 1 / Math.sqrt(dim)
        checkGradients(
          "attention",
          (q, k, v) => Ops.attention(q!, k!, v!, packing, scale),
          ([q, k, v]) => Reference.attention(q!, k!, v!, cuSeqlens, scale, { heads, kv, dim }),
          [
            [r(tokens * heads * dim), [tokens, heads, dim]],
            [r(tokens * kv * dim), [tokens, kv, dim]],
            [r(tokens * kv * dim), [tokens, kv, dim]]
          ],
          5
        )
      })
    }
    onDevice("attention over long packed sequences", () => {
      const cuSeqlens = Int32Array.of(0, 130, 197, 198, 262)
      const shape = { heads: 4, kv: 2, dim: 32 }
      const r = random(9)
      const [q, k, v] = [r(262 * 128), r(262 * 64), r(262 * 64)]
      const out = Ops.attention(
        f32(q, [262, 4, 32]),
        f32(k, [262, 2, 32]),
        f32(v, [262, 2, 32]),
        Ops.packing(cuSeqlens),
        0.2
      )
      close(data(out), Reference.attention(q, k, v, cuSeqlens, 0.2, shape), "attention")
    })

    for (const [what, kv] of [["grouped queries", 2], ["one head each", 4], ["one key head", 1]] as const) {
      onDevice(`paged attention and append, ${what}`, () => {
        const [blocks, blockSize, heads, dim, maxBlocks] = [9, 4, 4, 8, 3]
        const r = random(11)
        const width = kv * dim
        const kPool = r(blocks * blockSize * width)
        const vPool = r(blocks * blockSize * width)
        const blockTable = Int32Array.of(3, 5, 1, 8, 2, 0, 7, 4, 6, 0, 0, 0)
        // Decoding (sequences 0 and 1), prefill in two lengths (2 and 1 continue), padding (3).
        const tokenSeq = Int32Array.of(0, 1, 2, 2, 2, 2, 2, 3)
        const tokenPos = Int32Array.of(10, 5, 4, 5, 6, 7, 8, 0)
        const tokens = tokenSeq.length
        const slots = tokenSeq.map((sequence, t) => {
          const position = tokenPos[t]!
          return blockTable[sequence * maxBlocks + Math.floor(position / blockSize)]! * blockSize + position % blockSize
        })
        const [q, k, v] = [r(tokens * heads * dim), r(tokens * width), r(tokens * width)]
        slots.forEach((slot, t) => {
          kPool.set(k.subarray(t * width, (t + 1) * width), slot * width)
          vPool.set(v.subarray(t * width, (t + 1) * width), slot * width)
        })
        const [before, beforeV] = [Float64Array.from(kPool), Float64Array.from(vPool)]
        slots.forEach((slot) => {
          before.fill(0, slot * width, (slot + 1) * width)
          beforeV.fill(0, slot * width, (slot + 1) * width)
        })
        const shape = [blocks, blockSize, kv, dim]
        const pool = Ops.kvAppend(
          { k: f32(before, shape), v: f32(beforeV, shape) },
          f32(k, [tokens, kv, dim]),
          f32(v, [tokens, kv, dim]),
          i32(slots)
        )
        close(data(pool.k), kPool, "key pool")
        close(data(pool.v), vPool, "value pool")
        const layout = Ops.paged({ blockTable, maxBlocks, tokenSeq, tokenPos }, blockSize)
        const out = Ops.pagedAttention(f32(q, [tokens, heads, dim]), pool, layout, 0.3)
        const expected = Reference.pagedAttention(
          q,
          kPool,
          vPool,
          blockTable,
          maxBlocks,
          blockSize,
          tokenSeq,
          tokenPos,
          0.3,
          { heads, kv, dim }
        )
        close(data(out), expected, "paged attention")
      })
    }

    onDevice("swiGlu and its gradients", () => {
      const r = random(13)
      checkGradients("swiGlu", (g, u) => Ops.swiGlu(g!, u!), ([g, u]) => Reference.swiGlu(g!, u!), [
        [r(6 * 10, 8), [6, 10]],
        [r(6 * 10), [6, 10]]
      ], 14)
    })

    for (const temperature of [1, 0.7]) {
      onDevice(`token log-probability, entropy and gradients at temperature ${temperature}`, () => {
        const [tokens, dim, vocab] = [6, 8, 23]
        const r = random(15)
        const targets = Int32Array.of(0, 22, 5, 5, 1, 9)
        checkGradients(
          "tokenLogProb",
          (hidden, head) => Ops.tokenLogProb(hidden!, head!, i32(targets), temperature),
          ([hidden, head]) => Reference.tokenLogProb(hidden!, head!, targets, dim, temperature),
          [[r(tokens * dim), [tokens, dim]], [r(vocab * dim, 2), [vocab, dim]]],
          16
        )
      })
    }
    onDevice("the entropy of the logits 1, 2, 3 is the reference's (A.5)", () => {
      const out = Ops.tokenLogProb(
        f32(Float64Array.of(1), [1, 1]),
        f32(Float64Array.of(1, 2, 3), [3, 1]),
        i32(Int32Array.of(2))
      )
      close(data(out), Float64Array.of(3 - Math.log(Math.E + Math.E ** 2 + Math.E ** 3), 0.832396), "tokenLogProb")
    })
    onDevice("token log-probability over a large vocabulary", () => {
      const [tokens, dim, vocab] = [70, 64, 1000]
      const r = random(17)
      const [hidden, head] = [r(tokens * dim), r(vocab * dim)]
      const targets = Int32Array.from({ length: tokens }, (_, t) => t * 13 % vocab)
      const out = Ops.tokenLogProb(f32(hidden, [tokens, dim]), f32(head, [vocab, dim]), i32(targets))
      close(data(out), Reference.tokenLogProb(hidden, head, targets, dim, 1), "tokenLogProb")
    })

    onDevice("embedding and its gradient", () => {
      const ids = Int32Array.of(3, 0, 3, 6, 3)
      checkGradients(
        "embedding",
        (table) => Ops.embedding(table!, i32(ids)),
        ([table]) => Float64Array.from([...ids].flatMap((id) => [...table!.subarray(id * 4, id * 4 + 4)])),
        [[random(18)(7 * 4), [7, 4]]],
        19
      )
    })

    onDevice("adamW", () => {
      const r = random(20)
      let expected: Parameters<typeof Reference.adamW>[0] = {
        param: r(300),
        m: r(300, 0.1),
        v: r(300, 0.1).map(Math.abs)
      }
      let state: Ops.AdamState = {
        param: f32(expected.param, [30, 10]),
        m: f32(expected.m, [30, 10]),
        v: f32(expected.v, [30, 10])
      }
      for (let step = 1; step <= 3; step++) {
        const grad = r(300)
        const options = { lr: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1, step, gradScale: 0.5 }
        state = Ops.adamW(state, f32(grad, [30, 10]), options)
        expected = Reference.adamW(expected, grad, options)
      }
      close(data(state.param), expected.param, "parameters")
      close(data(state.m), expected.m, "first moments")
      close(data(state.v), expected.v, "second moments")
    })
    onDevice("sumSquares", () => {
      const x = random(21)(5000)
      close(data(Ops.sumSquares(f32(x, [50, 100]))), [x.reduce((sum, v) => sum + v * v, 0)], "sumSquares")
    })

    onDevice("matrix products in every transposition, plain and batched", () => {
      const r = random(22)
      for (const [m, k, n] of [[3, 5, 4], [37, 64, 130], [64, 129, 65], [1, 128, 384]] as const) {
        for (const batch of [1, 3]) {
          for (const [ta, tb] of [[false, false], [false, true], [true, false], [true, true]] as const) {
            const [a, b] = [r(batch * m * k), r(batch * k * n)]
            const expected = new Float64Array(batch * m * n)
            for (let g = 0; g < batch; g++) {
              for (let i = 0; i < m; i++) {
                for (let j = 0; j < n; j++) {
                  let sum = 0
                  for (let x = 0; x < k; x++) {
                    sum += a[g * m * k + (ta ? x * m + i : i * k + x)]! * b[g * k * n + (tb ? j * k + x : x * n + j)]!
                  }
                  expected[(g * m + i) * n + j] = sum
                }
              }
            }
            const lead = batch === 1 ? [] : [batch]
            const left = f32(a, [...lead, ...(ta ? [k, m] : [m, k])])
            const right = f32(b, [...lead, ...(tb ? [n, k] : [k, n])])
            close(data(tf.matMul(left, right, ta, tb)), expected, `matMul ${batch}x${m}x${k}x${n} ${ta} ${tb}`)
          }
        }
      }
    })

    onDevice("sums of a matrix and a product", () => {
      const r = random(25)
      for (const [m, k, n] of [[3, 5, 4], [37, 64, 130], [800, 129, 65]] as const) {
        const [start, a, b] = [r(m * n, 3), r(m * k), r(k * n)]
        const expected = Float64Array.from(start, (sum, i) => {
          const [row, column] = [Math.floor(i / n), i % n]
          for (let x = 0; x < k; x++) sum += a[row * k + x]! * b[x * n + column]!
          return sum
        })
        const [s, left, right] = [f32(start, [m, n]), f32(a, [m, k]), f32(b, [k, n])]
        close(data(Ops.matMulAdd(s, left, right)), expected, `matMulAdd ${m}x${k}x${n}`)
        close(data(Ops.matMulAdd(s, left, tf.transpose(right), true)), expected, `matMulAdd ${m}x${k}x${n} transposed`)
      }
    })

    onDevice("rmsNorm's gradient with another one added", () => {
      const r = random(26)
      for (const [n, d] of [[5, 8], [40, 20]] as const) {
        const [x, w, dy, add] = [f32(r(n * d), [n, d]), f32(r(d), [d]), f32(r(n * d), [n, d]), r(n * d)]
        const [dx, dWeight] = Ops.rmsNormGrad(x, w, dy, 1e-5)
        const [sum, same] = Ops.rmsNormGrad(x, w, dy, 1e-5, f32(add, [n, d]))
        close(data(sum), Float64Array.from(data(dx), (value, i) => value + add[i]!), "rmsNormGrad with a sum")
        close(data(same), Float64Array.from(data(dWeight)), "dWeight")
      }
    })

    const vocab = 40
    const rows = { temperature: Float32Array.of(1, 0.5, 0, 1, 1.3, 1), topK: Int32Array.of(0, 0, 0, 5, 0, 8) }
    const topP = Float32Array.of(1, 1, 1, 1, 0.6, 0.8)
    onDevice("sampling draws what the distribution says", () => {
      const logits = random(23)(rows.temperature.length * vocab, 3)
      for (const u of [0, 0.1, 0.35, 0.5, 0.75, 0.999]) {
        const uniform = new Float32Array(rows.temperature.length).fill(u)
        const drawn = Ops.sample(f32(logits, [rows.temperature.length, vocab]), { ...rows, topP, uniform })
        const ids = data(drawn.ids)
        const logProbs = data(drawn.logProb)
        const modelLogProbs = data(drawn.modelLogProb)
        rows.temperature.forEach((temperature, row) => {
          const own = logits.subarray(row * vocab, (row + 1) * vocab)
          const model = Reference.softmax(own)
          if (temperature === 0) {
            assert.strictEqual(ids[row], own.indexOf(Math.max(...own)))
            assert.strictEqual(logProbs[row], 0)
          } else {
            const p = Reference.samplingDistribution(own, temperature, rows.topK[row]!, topP[row]!)
            const below = p.subarray(0, ids[row]).reduce((sum, x) => sum + x, 0)
            assert.isAtMost(below, Math.fround(u) + 1e-5)
            assert.isAtLeast(below + p[ids[row]!]!, Math.fround(u) - 1e-5)
            assert.isAbove(p[ids[row]!]!, 0)
            assert.closeTo(logProbs[row]!, Math.log(p[ids[row]!]!), 1e-4)
          }
          assert.closeTo(modelLogProbs[row]!, Math.log(model[ids[row]!]!), 1e-4)
        })
      }
    })
    onDevice("a row's draw does not depend on the other rows", () => {
      const all = random(24)(rows.temperature.length * vocab, 3)
      const uniform = Float32Array.of(0.2, 0.4, 0.6, 0.8, 0.3, 0.9)
      const together = data(Ops.sample(f32(all, [rows.temperature.length, vocab]), { ...rows, topP, uniform }).ids)
      rows.temperature.forEach((_, row) => {
        const alone = Ops.sample(f32(all.slice(row * vocab, (row + 1) * vocab), [1, vocab]), {
          temperature: rows.temperature.slice(row, row + 1),
          topK: rows.topK.slice(row, row + 1),
          topP: topP.slice(row, row + 1),
          uniform: uniform.slice(row, row + 1)
        })
        assert.strictEqual(data(alone.ids)[0], together[row])
      })
    })

    it.effect("a resource lives as long as its scope", () =>
      Effect.gen(function*() {
        const device = yield* Device
        const before = yield* device.memory
        yield* Effect.scoped(
          Effect.gen(function*() {
            const { x } = yield* device.resource(() => ({ x: tf.ones([10, 10]) }))
            assert.strictEqual((yield* device.memory).bytes, before.bytes + 400)
            assert.strictEqual(data(tf.sum(x))[0], 100)
          }).pipe(Effect.andThen(device.run(() => {})))
        )
        yield* device.settled
        const after = yield* device.memory
        assert.isAtMost(after.bytes - before.bytes, 4)
      }).pipe(Effect.provide(layer)))

    /** A computation of a few pieces, each longer than a device keeps its thread. */
    function* long(count: number, onPiece: (piece: number) => void): Generator<void, tf.Tensor, void> {
      let sum: tf.Tensor = tf.zeros([100])
      for (let piece = 1; piece <= count; piece++) {
        sum = tf.tidy(() => tf.add(sum, tf.mul(tf.ones([100]), piece)))
        onPiece(piece)
        const until = performance.now() + 110
        while (performance.now() < until);
        yield
      }
      return sum
    }

    it.effect("lets others have their turn between the pieces of a computation, and keeps its tensors", () =>
      Effect.gen(function*() {
        const device = yield* Device
        const before = yield* device.memory
        const order: Array<string> = []
        const fiber = yield* Effect.forkChild(
          Effect.scoped(Effect.gen(function*() {
            const sum = yield* device.pieces(() => long(3, (piece) => order.push(`piece ${piece}`)))
            assert.strictEqual(sum.dataSync()[0], 6)
            sum.dispose()
          })),
          { startImmediately: true }
        )
        // what is made and disposed of meanwhile does not meet the tensors that wait
        const values = yield* device.run(() => tf.tidy(() => tf.add(tf.ones([3]), 1).dataSync()))
        order.push(`meanwhile ${values[0]}`)
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(order, ["piece 1", "meanwhile 2", "piece 2", "piece 3"])
        assert.deepStrictEqual(yield* device.memory, before)
      }).pipe(Effect.provide(layer)))

    it.effect("leaves nothing of a computation in pieces that fails or is interrupted", () =>
      Effect.gen(function*() {
        const device = yield* Device
        const before = yield* device.memory
        const failed = yield* Effect.flip(device.pieces(() =>
          long(3, (piece) => {
            if (piece === 2) throw new Error("broken")
          })
        ))
        assert.include(failed.message, "broken")
        assert.deepStrictEqual(yield* device.memory, before)
        let pieces = 0
        const fiber = yield* Effect.forkChild(device.pieces(() => long(3, (piece) => (pieces = piece))), {
          startImmediately: true
        })
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(pieces, 1)
        assert.deepStrictEqual(yield* device.memory, before)
      }).pipe(Effect.provide(layer)))

    it.effect("a failing computation is a typed error and leaves nothing behind", () =>
      Effect.gen(function*() {
        const device = yield* Device
        const before = yield* device.memory
        const error = yield* Effect.flip(device.run(() => tf.matMul(tf.ones([2, 3]), tf.ones([2, 3]))))
        assert.strictEqual(error._tag, "DeviceFailed")
        assert.deepStrictEqual(yield* device.memory, before)
      }).pipe(Effect.provide(layer)))
  })
}
