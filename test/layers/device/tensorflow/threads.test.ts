/** One engine after another on TensorFlow, each in a thread of its own. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Path } from "effect"
import { spawnSync } from "node:child_process"
import * as Addons from "../../../../src/layers/device/tensorflow/addons.ts"
import { installDirectory, locate } from "../../../../src/layers/device/tensorflow/load.ts"
import { addon, worthTelling } from "../../../../src/layers/device/tensorflow/quiet.ts"

const reason = await Effect.runPromise(
  locate.pipe(
    Effect.as("TensorFlow is there"),
    Effect.catch((error) => Effect.succeed(error.message)),
    Effect.provide(NodeServices.layer)
  )
)

/** Whether the installation is of this version: one of an earlier has no addon that holds back what the library says. */
const quiet = await Effect.runPromise(
  Effect.gen(function*() {
    const path = yield* Path.Path
    const fs = yield* FileSystem.FileSystem
    return yield* fs.exists(path.join(yield* installDirectory, yield* Addons.fileName(addon)))
  }).pipe(Effect.provide(NodeServices.layer))
)

describe.skipIf(reason !== "TensorFlow is there")(`threads with TensorFlow (${reason})`, () => {
  it("can follow each other in a process, and none of them says what only TensorFlow's makers want to know", () => {
    const script = new URL("./threads.ts", import.meta.url).pathname
    const { status, stderr, stdout } = spawnSync(process.execPath, [script], { encoding: "utf8" })
    assert.deepStrictEqual([status, quiet ? stderr : ""], [0, ""])
    const [first, second] = stdout.trim().split("\n")
    assert.strictEqual(first?.split(" ").length, 8)
    assert.strictEqual(second, first)
  })
})

describe("what TensorFlow says while it is loaded", () => {
  it("is told where it is not about itself", () => {
    const itself = [
      "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
      "E0000 00:00:1796079072.906909    5785 cuda_fft.cc:467] Unable to register cuFFT factory: it is registered already",
      "I0000 00:00:1796079104.023173   13824 cpu_feature_guard.cc:227] This TensorFlow binary is optimized to use",
      "To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow",
      "2024-01-01 10:00:00.123456: I tensorflow/core/util/port.cc:113] oneDNN custom operations are on."
    ]
    assert.strictEqual(worthTelling(`${itself.join("\n")}\n`), "")
    assert.strictEqual(worthTelling([itself[0], "the disk is on fire", itself[1]].join("\n")), "the disk is on fire")
  })
})
