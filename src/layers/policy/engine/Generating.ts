/**
 * State of sessions and of what they are generating.
 *
 * @since 0.1.0
 */
import { Deferred, type Effect } from "effect"
import type { GenerateOptions, Generation, PolicyError } from "../../../services/Policy.ts"
import type { StreamingDecoder, Tokenizer } from "../../../services/Tokenizer.ts"
import type { Key } from "./CounterRandom.ts"
import { StopText } from "./StopStrings.ts"

/**
 * A generation under way.
 *
 * @category models
 * @since 0.1.0
 */
export interface Request {
  readonly options: GenerateOptions
  readonly policyVersion: number
  readonly ids: Array<number>
  readonly logProbs: Array<number>
  readonly modelLogProbs: Array<number>
  readonly text: StopText
  readonly decoder: StreamingDecoder
  readonly done: Deferred.Deferred<Generation, PolicyError>
  /** Hears of the text as it grows. */
  readonly onPiece: ((piece: string) => void) | undefined
}

/**
 * A conversation: `ids` is its whole context, whose first `cached` tokens have keys and values in `blocks`. `prompt`
 * tokens were there from the start. `cacheVersion` is the policy version that filled the cache.
 *
 * @category models
 * @since 0.1.0
 */
export interface SessionState {
  readonly promptKey: string
  readonly prompt: number
  readonly random: Key
  readonly ids: Array<number>
  readonly blocks: Array<number>
  cached: number
  drawn: number
  cacheVersion: number
  request: Request | undefined
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const request = (
  tokenizer: Tokenizer["Service"],
  options: GenerateOptions,
  policyVersion: number,
  onPiece?: (piece: string) => void
): Request => ({
  options,
  policyVersion,
  ids: [],
  logProbs: [],
  modelLogProbs: [],
  text: new StopText(options.stop),
  decoder: tokenizer.decoder(),
  done: Deferred.makeUnsafe(),
  onPiece
})

/** Takes a piece of text into a generation; answers where a stop string ends, or -1. */
const grow = (current: Request, piece: string): number => {
  if (piece !== "") current.onPiece?.(piece)
  return current.text.push(piece)
}

/**
 * What ends a generation.
 *
 * @category models
 * @since 0.1.0
 */
export interface Limits {
  readonly endOfText: ReadonlySet<number>
  readonly contextLength: number
}

/** The token on its way to a decoder: thousands a second are not worth an array each. */
const single = new Int32Array(1)

/**
 * Takes one drawn token into a session and its generation. The generation is returned when the token ended it: the
 * token that completes a stop string is kept whole.
 *
 * @category operations
 * @since 0.1.0
 */
export const accept = (
  session: SessionState,
  current: Request,
  token: { readonly id: number; readonly logProb: number; readonly modelLogProb: number },
  limits: Limits
): Generation | undefined => {
  session.ids.push(token.id)
  session.drawn++
  current.ids.push(token.id)
  current.logProbs.push(token.logProb)
  current.modelLogProbs.push(token.modelLogProb)
  single[0] = token.id
  const end = grow(current, current.decoder.push(single))
  if (end !== -1) return finish(current, "stop", end)
  if (limits.endOfText.has(token.id)) return finish(current, "eos", -1)
  if (current.ids.length >= current.options.maxTokens || session.ids.length >= limits.contextLength) {
    return finish(current, "length", -1)
  }
  return undefined
}

const finish = (current: Request, finish: Generation["finish"], end: number): Generation => {
  grow(current, current.decoder.flush())
  const { text } = current.text
  return {
    ids: Int32Array.from(current.ids),
    logProbs: Float32Array.from(current.logProbs),
    modelLogProbs: Float32Array.from(current.modelLogProbs),
    text,
    surplus: end === -1 ? "" : text.slice(end),
    finish,
    policyVersion: current.policyVersion
  }
}

/**
 * What a generation of no tokens gives.
 *
 * @category constructors
 * @since 0.1.0
 */
export const nothing = (policyVersion: number): Generation => ({
  ids: new Int32Array(),
  logProbs: new Float32Array(),
  modelLogProbs: new Float32Array(),
  text: "",
  surplus: "",
  finish: "length",
  policyVersion
})

/**
 * Ends the generation of a session with a result or an error.
 *
 * @category operations
 * @since 0.1.0
 */
export const settle = (session: SessionState, result: Effect.Effect<Generation, PolicyError>): void => {
  const { request } = session
  session.request = undefined
  if (request !== undefined) Deferred.doneUnsafe(request.done, result)
}
