import { assert, describe, it } from "@effect/vitest"
import * as tf from "@tensorflow/tfjs-core"
import { ConfigProvider, Effect } from "effect"
import { spawnSync } from "node:child_process"
import { Worker } from "node:worker_threads"
import * as Prng from "../../../../src/domain/Prng.ts"
import * as DeviceWasm from "../../../../src/layers/device/DeviceWasm.ts"
import * as Ops from "../../../../src/layers/device/ops/index.ts"
import { address, kernel } from "../../../../src/layers/device/wasm/abi.ts"
import { Pool } from "../../../../src/layers/device/wasm/Pool.ts"
import { register, unregister } from "../../../../src/layers/device/wasm/register.ts"
import { Device, DeviceFailed, OutOfDeviceMemory } from "../../../../src/services/Device.ts"

const uniform = (prng: Prng.Prng, length: number): Float32Array =>
  Float32Array.from({ length }, () => prng.float() * 2 - 1)

/** Results of the kernels that split their work, on inputs that do not divide evenly. */
const results = (): Array<number> => {
  const prng = Prng.make("threads")
  const tensor = (...shape: Array<number>) => tf.tensor(uniform(prng, shape.reduce((a, b) => a * b)), shape)
  const [tokens, heads, dim] = [700, 4, 16]
  const width = heads * dim
  const cuSeqlens = Int32Array.of(0, 130, 131, 400, 700)
  const x = tensor(tokens, width)
  const weight = tensor(width)
  const [q, k, v] = [tensor(tokens, heads, dim), tensor(tokens, 2, dim), tensor(tokens, 2, dim)]
  const packing = Ops.packing(cuSeqlens)
  const attention = Ops.attentionForward(q, k, v, packing, 0.3)
  const head = tensor(517, width)
  const targets = tf.tensor1d(Int32Array.from({ length: tokens }, () => prng.below(517)), "int32")
  const predicted = Ops.tokenLogProbForward(x, head, targets, 0.7)
  const dy = tensor(tokens, width)
  const dToken = tensor(tokens)
  return [
    tf.matMul(x, head, false, true),
    tf.matMul(x, dy, true, false),
    Ops.rmsNormForward(x, weight, 1e-6),
    ...Ops.rmsNormGrad(x, weight, dy, 1e-6),
    attention.out,
    ...Ops.attentionGrad(q, k, v, attention, tf.reshape(dy, q.shape), packing, 0.3),
    ...Ops.swiGluGrad(x, dy, dy),
    predicted.entropy,
    ...Ops.tokenLogProbGrad(x, head, targets, predicted, dToken, dToken, 0.7),
    Ops.embeddingGrad(targets, dy, 517),
    Ops.sumSquares(x),
    tf.sum(x, 0),
    tf.sum(x)
  ].flatMap((result) => [...result.dataSync()])
}

const on = (options: DeviceWasm.DeviceWasmOptions) =>
  Effect.gen(function*() {
    const device = yield* Device
    return yield* device.run(results)
  }).pipe(Effect.provide(DeviceWasm.layer(options)))

describe("DeviceWasm", () => {
  it.effect("gives the same bits on any number of threads, with wide vectors and without", () =>
    Effect.gen(function*() {
      const one = yield* on({ threads: 1 })
      assert.deepStrictEqual(yield* on({ threads: 2 }), one)
      assert.deepStrictEqual(yield* on({ threads: 3, wideVectors: false }), one)
    }))

  it.effect("has as many threads as the environment says, and refuses what is no number of them", () =>
    Effect.gen(function*() {
      const threads = (value: string, options?: DeviceWasm.DeviceWasmOptions) =>
        Device.pipe(
          Effect.map(({ capabilities }) => capabilities.threads),
          Effect.provide(DeviceWasm.layer(options)),
          Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ SEARCH_R1_THREADS: value })))
        )
      assert.strictEqual(yield* threads("1"), 1)
      assert.strictEqual(yield* threads("3"), 3)
      assert.strictEqual(yield* threads("3", { threads: 2 }), 2)
      for (const wrong of ["0", "two", "1.5", "1025"]) {
        assert.include((yield* Effect.flip(threads(wrong))).message, "whole number from 1 to 1024")
      }
    }))

  it.effect("gives the same bits for a row alone and among others", () =>
    Effect.gen(function*() {
      const device = yield* Device
      yield* device.run(() => {
        const prng = Prng.make("rows")
        const weights = tf.tensor2d(uniform(prng, 96 * 900), [96, 900])
        const rows = tf.tensor2d(uniform(prng, 64 * 900), [64, 900])
        const all = tf.matMul(rows, weights, false, true).dataSync()
        for (const row of [0, 5, 63]) {
          for (let time = 0; time < 3; time++) {
            const alone = tf.matMul(tf.slice(rows, [row, 0], [1, 900]), weights, false, true).dataSync()
            assert.deepStrictEqual(alone, all.slice(row * 96, (row + 1) * 96))
          }
        }
      })
    }).pipe(Effect.provide(DeviceWasm.layer())))

  it.effect("uses a weight's new values after an optimizer step, although it keeps a packed copy", () =>
    Effect.gen(function*() {
      const device = yield* Device
      yield* device.run(() => {
        const param = tf.ones([32, 16])
        const [m, v, x] = [tf.zeros([32, 16]), tf.zeros([32, 16]), tf.ones([4, 16])]
        const product = () => tf.matMul(x, param, false, true).dataSync()[0]
        for (let i = 0; i < 4; i++) assert.strictEqual(product(), 16)
        const options = { lr: 0.5, beta1: 0.9, beta2: 0.999, eps: 0, weightDecay: 0, step: 1, gradScale: 1 }
        Ops.adamW({ param, m, v }, tf.ones([32, 16]), options)
        for (let i = 0; i < 4; i++) assert.closeTo(product() ?? 0, 8, 1e-4)
      })
    }).pipe(Effect.provide(DeviceWasm.layer())))

  it.effect("fails with OutOfDeviceMemory and keeps working, with nothing left behind", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const before = yield* device.memory
      const error = yield* Effect.flip(device.run(() => tf.matMul(tf.ones([4000, 3000]), tf.ones([3000, 4000]))))
      assert.instanceOf(error, OutOfDeviceMemory)
      assert.strictEqual(error.limitBytes, 64e6)
      assert.deepStrictEqual(yield* device.memory, before)
      for (let i = 0; i < 4; i++) {
        const sum = yield* device.run(() => tf.sum(tf.ones([3000, 3000])).dataSync()[0])
        assert.strictEqual(sum, 9e6)
      }
    }).pipe(Effect.provide(DeviceWasm.layer({ limitBytes: 64e6 }))))

  it("works beyond 2 GiB, where addresses no longer fit a signed integer", async () => {
    const pool = new Pool({ device: "wasm", threads: 2, relaxedSimd: true, wideVectors: true, limitBytes: 3e9 })
    const { name } = register(pool)
    pool.allocate(2.2e9)
    await tf.setBackend(name)
    const got = tf.tidy(() => {
      const high = tf.tensor2d([[1, 2], [3, 4]])
      return [...tf.matMul(tf.matMul(high, high, true, false), tf.mul(tf.ones([2, 3]), 2)).dataSync()]
    })
    assert.deepStrictEqual(got, [48, 48, 48, 68, 68, 68])
    assert.isAbove(pool.heap.end, 2 ** 31)
    unregister(name)
    await pool.close()
  })

  it.effect("names an index that is out of range", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const error = yield* Effect.flip(
        device.run(() => tf.gather(tf.ones([5, 2]), tf.tensor1d([1, 7], "int32")))
      )
      assert.instanceOf(error, DeviceFailed)
      assert.include(error.message, "indices[1] is 7")
    }).pipe(Effect.provide(DeviceWasm.layer())))

  it("runs with one thread where a process may not start any", () => {
    const script = new URL("./singleThread.ts", import.meta.url).pathname
    const run = spawnSync(process.execPath, ["--permission", "--allow-fs-read=*", script], { encoding: "utf8" })
    const json = run.stdout.slice(run.stdout.indexOf("{"))
    assert.deepStrictEqual(JSON.parse(json || `${JSON.stringify(run.stderr)}`), { threads: 1, sum: 64 * 300 * 32 })
  })

  it("ends with an error when a worker dies", async () => {
    const options = { device: "wasm", relaxedSimd: true, wideVectors: true, limitBytes: 1e8 }
    const pool = new Pool({ ...options, threads: 2 })
    await pool.ready()
    const [worker] = pool.workers
    assert.isDefined(worker)
    await worker?.terminate()
    assert.throws(() => pool.run(23, 4, [pool.allocate(64), 16, 0, 4]), DeviceFailed, /worker thread 1 ended/)
    await pool.close()
  })

  it("ends with an error when a worker is killed in the middle of a job", async () => {
    const pool = new Pool({ device: "wasm", threads: 2, relaxedSimd: true, wideVectors: true, limitBytes: 1e8 })
    await pool.ready()
    // Two chunks of half a second: products of one row with one matrix, over and over in the same place.
    const [rows, columns, depth] = [3_000_000, 16, 384]
    const [a, b, c] = [pool.allocate(depth * 4), pool.allocate(depth * columns * 4), pool.allocate(columns * 4)]
    const args = [a, 0, 4, b, columns * 4, 4, c, 0, 2 * rows, columns, depth, 0, 0, rows, columns, 0, 0, 0, 2, 1, 0]
    const [section, command] = [pool.allocate(16), pool.allocate(128)]
    pool.writeCommand(command, { kernel: kernel.gemm, chunks: 2, args, lane: 0 })
    pool.writeSection(section, command, 1, 2, 0)
    // The caller is a thread of its own, for this one has to kill the worker while the caller waits.
    const file = new URL("../../../../assets/kernels/plain.wasm", import.meta.url).pathname
    const caller = new Worker(
      `const { parentPort, workerData } = require("node:worker_threads")
      const module = new WebAssembly.Module(require("node:fs").readFileSync(workerData.file))
      const { exports } = new WebAssembly.Instance(module, { env: { memory: workerData.memory } })
      exports.initThread(0)
      parentPort.postMessage(exports.run(workerData.section, 1, 2, 2))`,
      { eval: true, execArgv: [], workerData: { file, memory: pool.memory, section } }
    )
    const status = new Promise((resolve, reject) => caller.once("message", resolve).once("error", reject))
    const word = (at: number) => Atomics.load(pool.i32, at / 4)
    while (word(address.sequence) === 0 || word(address.tickets) > 0) await new Promise((go) => setImmediate(go))
    assert.strictEqual(word(address.done), 0, "the worker has a chunk and has not finished it")
    await pool.workers[0]?.terminate()
    assert.strictEqual(await status, 1)
    assert.throws(() => pool.run(kernel.fill, 4, [c, 16, 0, 4]), DeviceFailed, /worker thread 1 ended/)
    await pool.close()
  })

  it("ends with an error when a worker makes no progress", async () => {
    const options = { device: "wasm", relaxedSimd: true, wideVectors: true, limitBytes: 1e8, patienceMs: 150 }
    const pool = new Pool({ ...options, threads: 2 })
    await pool.ready()
    // A thread that takes a chunk as a worker does and never computes it.
    const idle = new Worker(
      `const { parentPort, workerData } = require("node:worker_threads")
      const words = new Int32Array(workerData.memory.buffer)
      parentPort.postMessage("ready")
      while (Atomics.load(words, workerData.tickets) <= 0 || Atomics.sub(words, workerData.tickets, 1) <= 0);
      setTimeout(() => {}, 60000)`,
      { eval: true, execArgv: [], workerData: { memory: pool.memory, tickets: address.tickets / 4 } }
    )
    await new Promise((resolve) => idle.once("message", resolve))
    const size = 1 << 22
    const x = pool.allocate(size * 4)
    const job = () => pool.run(kernel.unary, size / 64, [x, x, size, 64, 2, 0, 0])
    // A job may be over before the thread is there.
    const jobs = () => {
      for (let i = 0; i < 1000; i++) job()
    }
    assert.throws(jobs, DeviceFailed, /did not answer/)
    assert.throws(job, DeviceFailed, /did not answer/)
    await idle.terminate()
    await pool.close()
  })

  it("ends with an error when a kernel traps", async () => {
    const pool = new Pool({ device: "wasm", threads: 2, relaxedSimd: true, wideVectors: true, limitBytes: 1e8 })
    assert.throws(() => pool.run(9999, 1, []), DeviceFailed)
    assert.throws(() => pool.run(23, 1, [pool.allocate(64), 16, 0, 16]), DeviceFailed, /unreachable/)
    await pool.close()
  })
})
