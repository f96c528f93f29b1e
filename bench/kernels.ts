/**
 * The kernels of DeviceWasm against what the machine gives through WebAssembly, for one thread and for all (`--threads N`,
 * as many as there are cores), and against `@tensorflow/tfjs-backend-wasm` in turns: a matrix product of 1024 x 1024 x 1024,
 * its best case, and a training step of the 0.9 M model. `--rounds N` (30) runs of each kernel, of which the best counts.
 */
// Registers the backend `wasm`.
// oxlint-disable-next-line import/no-unassigned-import
import "@tensorflow/tfjs-backend-wasm"
import * as tf from "@tensorflow/tfjs-core"
import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"
import { Pool } from "../src/layers/device/wasm/Pool.ts"
import { register } from "../src/layers/device/wasm/register.ts"
import { roofline } from "./kernels/roofline.ts"
import { trainStep } from "./kernels/trainStep.ts"

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

const seconds = (work: () => void): number => {
  const start = performance.now()
  work()
  return (performance.now() - start) / 1000
}

/** What stock tfjs lacks for a training step, as a loop over its own tensors read back and forth. */
const lendEmbeddingGrad = (): void =>
  tf.registerKernel({
    kernelName: "SrEmbeddingGrad",
    backendName: "wasm",
    kernelFunc: ({ attrs, inputs }) => {
      const { dy, ids } = inputs
      const rows = Number(attrs?.["vocab"])
      if (dy === undefined || ids === undefined) throw new TypeError("SrEmbeddingGrad needs ids and dy")
      const read = (x: tf.TensorInfo) => tf.backend().readSync(x.dataId)
      const [values, index] = [read(dy), read(ids)]
      if (!(values instanceof Float32Array) || !(index instanceof Int32Array)) throw new TypeError("needs numbers")
      const width = dy.shape[1] ?? 0
      const table = new Float32Array(rows * width)
      index.forEach((row, t) => {
        for (let i = 0; i < width; i++) table[row * width + i]! += values[t * width + i]!
      })
      const shape = [rows, width]
      return { dataId: tf.backend().write(table, shape, "float32"), shape, dtype: "float32" }
    }
  })

interface Speed {
  readonly gemmGflops: number
  readonly trainTokensPerSecond: number
  readonly cpuOverWall: number
}

const sequences = 4
const size = 1024

/** Alternates between two backends, so that other load on the machine meets both alike. */
const compare = async (names: ReadonlyArray<string>, rounds: number): Promise<ReadonlyArray<Speed>> => {
  const prepared: Array<{ name: string; gemm: () => void; train: () => void }> = []
  for (const name of names) {
    await tf.setBackend(name)
    await tf.ready()
    const x = tf.keep(tf.ones([size, size]))
    const gemm = () => tf.dispose(tf.matMul(x, x))
    const train = trainStep(sequences)
    gemm()
    train()
    prepared.push({ name, gemm, train })
  }
  const gemms = prepared.map((): Array<number> => [])
  const trains = prepared.map((): Array<number> => [])
  const busy = prepared.map((): Array<number> => [])
  for (let round = 0; round < rounds; round++) {
    for (const [i, { gemm, name, train }] of prepared.entries()) {
      await tf.setBackend(name)
      // the other backend has emptied the caches and let the threads of this one sleep
      gemm()
      for (let time = 0; time < 3; time++) gemms[i]?.push(seconds(gemm))
      const before = process.cpuUsage()
      const time = seconds(train)
      const used = process.cpuUsage(before)
      trains[i]?.push(time)
      busy[i]?.push((used.user + used.system) / 1e6 / time)
    }
  }
  return prepared.map((_, i) => ({
    gemmGflops: 2 * size ** 3 / median(gemms[i] ?? []) / 1e9,
    trainTokensPerSecond: sequences * 160 / median(trains[i] ?? []),
    cpuOverWall: median(busy[i] ?? [])
  }))
}

const short = (value: number): number => Number(value.toPrecision(4))

export const run = async (args: ReadonlyArray<string>): Promise<Readonly<Record<string, unknown>>> => {
  const { values } = parseArgs({
    args: [...args],
    options: { threads: { type: "string" }, rounds: { type: "string", default: "30" } }
  })
  const all = Number(values.threads ?? availableParallelism())
  const lines: Record<string, Record<string, number>> = {}
  for (const threads of new Set([1, all])) {
    const measured = await roofline(threads, Number(values.rounds))
    const peaks = {
      "GFLOP/s": Math.max(...measured.filter(({ unit }) => unit === "GFLOP/s").map(({ rate }) => rate)),
      // What the simplest loops over arrays of this size reach.
      "GB/s": Math.max(...measured.filter(({ name }) => /^(copy|add)/u.test(name)).map(({ rate }) => rate))
    }
    process.stderr.write(`${threads} thread${threads === 1 ? "" : "s"}\n`)
    for (const { microseconds, name, rate, unit } of measured) {
      const share = `${(100 * rate / peaks[unit]).toFixed(0)} % of peak`
      process.stderr.write(
        `  ${name.padEnd(58)} ${rate.toFixed(1).padStart(7)} ${unit.padEnd(8)} ${share.padStart(14)} ${
          microseconds.toFixed(0).padStart(8)
        } us\n`
      )
    }
    lines[`threads${threads}`] = Object.fromEntries(measured.map(({ name, rate }) => [name, short(rate)]))
  }
  const pool = new Pool({ device: "wasm", threads: all, relaxedSimd: true, wideVectors: true, limitBytes: 3e9 })
  await pool.ready()
  const { name } = register(pool)
  tf.env().set("PROD", true)
  lendEmbeddingGrad()
  const [own, stock] = await compare([name, "wasm"], 5)
  await pool.close()
  return {
    kernels: lines,
    ...own,
    gemmVsTfjsWasm: short((own?.gemmGflops ?? 0) / (stock?.gemmGflops ?? 1)),
    trainVsTfjsWasm: short((own?.trainTokensPerSecond ?? 0) / (stock?.trainTokensPerSecond ?? 1)),
    tfjsWasm: stock
  }
}
