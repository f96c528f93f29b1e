/**
 * A policy that says what a script tells it. For tests, demos and measurements of everything around a model.
 *
 * @since 0.1.0
 */
import { Effect, Layer } from "effect"
import { tokensCovering } from "../../domain/Codec.ts"
import { policySpans } from "../../domain/Protocol.ts"
import { ContextOverflow, type GenerateOptions, type Generation, Policy } from "../../services/Policy.ts"
import { Tokenizer } from "../../services/Tokenizer.ts"

/**
 * What a script is asked. `turn` counts the generations of the rollout from 0, `context` is its whole text so far.
 *
 * @category models
 * @since 0.1.0
 */
export interface ScriptCall {
  readonly promptKey: string
  readonly sample: number
  readonly seed: string
  readonly turn: number
  readonly context: () => string
}

/**
 * What the policy would write without stop strings; the end of the string is the end of its text.
 *
 * @category models
 * @since 0.1.0
 */
export type Script = (call: ScriptCall) => string

const firstStop = (text: string, stop: ReadonlyArray<string>): number => {
  let end = -1
  for (const string of stop) {
    const at = text.indexOf(string)
    if (at !== -1 && (end === -1 || at + string.length < end)) end = at + string.length
  }
  return end
}

const certain = (ids: Int32Array) => new Float32Array(ids.length)

/**
 * Turns a text into the generation that an engine would make of it: cut at the token that completes the first stop
 * string, else ended by the end-of-text token, and never longer than `maxTokens`. A script is certain of its tokens, so
 * their log-probabilities are 0.
 *
 * @category constructors
 * @since 0.1.0
 */
export const generationOf = (
  tokenizer: Tokenizer["Service"],
  text: string,
  options: GenerateOptions,
  policyVersion = 0
): Generation => {
  const stop = firstStop(text, options.stop)
  const eos = tokenizer.endOfText[0]
  const encoded = tokenizer.encodeSpans(policySpans(text))
  const all = stop === -1 && eos !== undefined ? Int32Array.from([...encoded, eos]) : encoded
  const wanted = stop === -1 ? all.length : tokensCovering(tokenizer, all, stop)
  const ids = all.slice(0, Math.min(wanted, options.maxTokens))
  const complete = ids.length === wanted
  const generated = tokenizer.decode(ids)
  return {
    ids,
    logProbs: certain(ids),
    modelLogProbs: certain(ids),
    text: generated,
    surplus: complete && stop !== -1 ? generated.slice(stop) : "",
    finish: complete ? (stop === -1 ? "eos" : "stop") : "length",
    policyVersion
  }
}

/**
 * A policy over a script: a function, or a list of texts that each session goes through from the start and whose last
 * one repeats.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  script: Script | readonly [string, ...ReadonlyArray<string>],
  options?: { readonly contextLength?: number | undefined }
): Layer.Layer<Policy, never, Tokenizer> =>
  Layer.effect(
    Policy,
    Effect.map(Tokenizer, (tokenizer) => {
      const contextLength = options?.contextLength ?? 32_768
      const say: Script = typeof script === "function"
        ? script
        : ({ turn }) => script[Math.min(turn, script.length - 1)] ?? ""
      return Policy.of({
        contextLength,
        version: Effect.succeed(0),
        session: ({ ids, promptKey, sample, seed, turn: first }) =>
          Effect.suspend(() => {
            const parts: Array<Int32Array> = []
            let tokens = 0
            let turn = first ?? 0
            const grow = (part: Int32Array) =>
              Effect.suspend(() => {
                if (tokens + part.length > contextLength) {
                  return Effect.fail(new ContextOverflow({ tokens: tokens + part.length, limit: contextLength }))
                }
                tokens += part.length
                parts.push(part)
                return Effect.void
              })
            const context = () => parts.map((part) => tokenizer.decode(part)).join("")
            return Effect.as(grow(ids), {
              append: grow,
              generate: (options: GenerateOptions) =>
                Effect.suspend(() => {
                  const text = say({ promptKey, sample, seed, turn: turn++, context })
                  const generation = generationOf(tokenizer, text, options)
                  return Effect.as(grow(generation.ids), generation)
                })
            })
          }),
        logProbs: (sequences) =>
          Effect.succeed(sequences.map((ids) => ({ logProbs: certain(ids), entropy: certain(ids) })))
      })
    })
  )
