/** One training step of the 0.9 M model on whatever backend of tfjs is active. */
import * as tf from "@tensorflow/tfjs-core"
import { tensors } from "../../src/domain/ModelTensors.ts"
import * as Ops from "../../src/layers/device/ops/index.ts"
import { Gradients } from "../../src/layers/policy/engine/Gradients.ts"
import { Parameters } from "../../src/layers/policy/engine/Parameters.ts"
import { whole } from "../../src/layers/device/pieces.ts"
import { predict, predictBackward } from "../../src/layers/policy/engine/Predictions.ts"
import { ropeTables } from "../../src/layers/policy/engine/Transformer.ts"
import { config, small, trainedLength as length } from "../decoder.ts"

const own = config(small)

/** A step over `batch` sequences of 160 tokens: forward, backward, AdamW. Its tensors belong to the active backend. */
export const trainStep = (batch: number): () => void => {
  const parameters = new Parameters(tensors(own))
  const moments = new Map<string, { m: tf.Tensor; v: tf.Tensor }>()
  parameters.specs.forEach(({ name, shape }, p) => {
    const size = shape.reduce((a, b) => a * b, 1)
    const data = Float32Array.from({ length: size }, (_, i) => shape.length === 1 ? 1 : Math.sin(i * 1.3 + p) * 0.03)
    parameters.upload({ name, shape, data })
    moments.set(name, { m: tf.keep(tf.zeros([...shape])), v: tf.keep(tf.zeros([...shape])) })
  })
  const network = { config: own, parameters, tables: ropeTables(own, length) }
  const ids = Int32Array.from({ length: batch * length }, (_, t) => (t * 31 + (t >> 3)) % small.vocabulary)
  const cuSeqlens = Int32Array.from({ length: batch + 1 }, (_, i) => i * length)
  const dLogProbs = new Float32Array(ids.length).fill(-1 / ids.length)
  let step = 0
  return () => {
    step++
    tf.engine().startScope()
    const gradients = new Gradients()
    const predicted = whole(predict(network, { ids, cuSeqlens }, 1, "everything"))
    predicted.result.logProb.dataSync()
    whole(predictBackward(network, predicted, dLogProbs, new Float32Array(ids.length), 1, gradients.add))
    for (const { name } of parameters.specs) {
      const [gradient, state] = [gradients.get(name), moments.get(name)]
      if (gradient === undefined || state === undefined) continue
      const options = { lr: 1e-4, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01, step, gradScale: 1 }
      const next = Ops.adamW({ param: parameters.get(name), ...state }, gradient, options)
      parameters.set(name, next.param)
      moments.set(name, { m: tf.keep(next.m), v: tf.keep(next.v) })
    }
    gradients.dispose()
    tf.engine().endScope()
  }
}
