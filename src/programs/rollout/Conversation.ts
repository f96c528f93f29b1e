/**
 * The policy's side of a rollout: a context that grows by what the policy samples and by what it is shown.
 *
 * @since 0.1.0
 */
import { Effect, type Scope } from "effect"
import { tokensCovering } from "../../domain/Codec.ts"
import { cutGeneration, parseAction, policySpans, stopStrings } from "../../domain/Protocol.ts"
import type { SampledSegment } from "../../domain/Trajectory.ts"
import type { GenerateOptions, Generation, Policy, PolicyError, SessionOptions } from "../../services/Policy.ts"
import type { Tokenizer } from "../../services/Tokenizer.ts"
import type { Options } from "./Options.ts"

/**
 * A context that a generation can be taken from. `keep` settles what of the generation stays; both calls leave the
 * context exactly as long as the segments of the trajectory.
 */
export interface Conversation {
  readonly generate: (maxTokens: number) => Effect.Effect<SampledSegment, PolicyError>
  readonly observe: (ids: Int32Array) => Effect.Effect<void, PolicyError>
}

type PolicyService = Policy["Service"]
type TokenizerService = Tokenizer["Service"]

const concat = (a: Int32Array, b: Int32Array): Int32Array => {
  const joined = new Int32Array(a.length + b.length)
  joined.set(a)
  joined.set(b, a.length)
  return joined
}

const withoutEos = (tokenizer: TokenizerService, generation: Generation): Generation => {
  let end = generation.ids.length
  while (end > 0 && tokenizer.endOfText.includes(generation.ids[end - 1] ?? -1)) end--
  if (end === generation.ids.length) return generation
  const ids = generation.ids.slice(0, end)
  return {
    ...generation,
    ids,
    logProbs: generation.logProbs.slice(0, end),
    modelLogProbs: generation.modelLogProbs.slice(0, end),
    text: tokenizer.decode(ids)
  }
}

const toSegment = (generation: Generation): SampledSegment => ({
  _tag: "Sampled",
  text: generation.text,
  ids: generation.ids,
  ...(Number.isNaN(generation.logProbs[0]) ? {} : { logProbs: generation.logProbs }),
  surplus: generation.surplus,
  finish: generation.finish,
  policyVersion: generation.policyVersion
})

/** Cuts a generation that ran past its action at the token that completes the action. */
const cutSampled = (tokenizer: TokenizerService, generation: Generation, options: Options): SampledSegment => {
  const { cutRule } = options.compat
  const cut = cutGeneration(generation.text, cutRule)
  if (cut.length === generation.text.length) return toSegment(generation)
  const count = tokensCovering(tokenizer, generation.ids, cut.length)
  const ids = generation.ids.slice(0, count)
  const text = tokenizer.decode(ids)
  return toSegment({
    ...generation,
    text,
    ids,
    logProbs: generation.logProbs.slice(0, count),
    surplus: text.slice(cut.length),
    finish: "stop"
  })
}

/** Decodes, cuts and encodes again, as the reference does (quirk Q2): the ids need not be those that were sampled. */
const retokenised = (tokenizer: TokenizerService, generation: Generation, options: Options): SampledSegment => {
  const decoded = tokenizer.decode(generation.ids, { skipSpecialTokens: true })
  const text = cutGeneration(decoded, options.compat.cutRule)
  return {
    _tag: "Sampled",
    text,
    ids: tokenizer.encodeSpans(policySpans(text)),
    surplus: "",
    finish: parseAction(text)._tag === "None" ? generation.finish : "stop",
    policyVersion: generation.policyVersion
  }
}

const settle = (tokenizer: TokenizerService, generation: Generation, options: Options): SampledSegment => {
  if (options.compat.idsSource === "retokenised") return retokenised(tokenizer, generation, options)
  const kept = options.compat.trainEos ? generation : withoutEos(tokenizer, generation)
  return options.compat.stop === "postHoc" ? cutSampled(tokenizer, kept, options) : toSegment(kept)
}

const request = (options: Options, maxTokens: number): GenerateOptions => ({
  maxTokens,
  sampling: options.sampling,
  stop: options.compat.stop === "engine" ? stopStrings : []
})

/**
 * One session for the whole rollout: what the engine sampled is what stays, and its cache is kept between turns.
 */
const continuous = Effect.fnUntraced(function*(
  policy: PolicyService,
  tokenizer: TokenizerService,
  start: SessionOptions,
  options: Options
): Effect.fn.Return<Conversation, PolicyError, Scope.Scope> {
  const session = yield* policy.session(start)
  return {
    generate: (maxTokens) =>
      Effect.map(
        session.generate(request(options, maxTokens), options.onText),
        (generation) => settle(tokenizer, generation, options)
      ),
    observe: session.append
  }
})

/**
 * A session a turn, over the last `window` tokens of the context: for the reference's ways, where what stays is not
 * what the engine has in its cache (quirks Q2, Q3, Q7).
 */
const windowed = (
  policy: PolicyService,
  tokenizer: TokenizerService,
  start: SessionOptions,
  options: Options,
  window: number
): Conversation => {
  let context = start.ids
  let turn = 0
  return {
    generate: Effect.fnUntraced(function*(maxTokens) {
      const ids = context.length > window ? context.slice(context.length - window) : context
      const session = yield* policy.session({ ...start, ids, seed: `${start.seed}/${turn}`, turn })
      turn++
      const segment = settle(tokenizer, yield* session.generate(request(options, maxTokens), options.onText), options)
      context = concat(context, segment.ids)
      return segment
    }, Effect.scoped),
    observe: (ids) =>
      Effect.sync(() => {
        context = concat(context, ids)
      })
  }
}

/**
 * Opens the conversation that the switches ask for.
 */
export const open = (
  policy: PolicyService,
  tokenizer: TokenizerService,
  start: SessionOptions,
  options: Options,
  window: number
): Effect.Effect<Conversation, PolicyError, Scope.Scope> => {
  const { idsSource, overflow, stop, trainEos } = options.compat
  return idsSource === "sampled" && stop === "engine" && trainEos && overflow !== "slide"
    ? continuous(policy, tokenizer, start, options)
    : Effect.succeed(windowed(policy, tokenizer, start, options, window))
}
