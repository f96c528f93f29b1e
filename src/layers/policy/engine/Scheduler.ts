/**
 * The fiber that generates for all sessions at once.
 *
 * @since 0.1.0
 */
import { type Cause, Deferred, Effect, Latch, Queue, type Scope, Stream } from "effect"
import { contextLength } from "../../../domain/ModelConfig.ts"
import { type Device, type DeviceError, OutOfDeviceMemory } from "../../../services/Device.ts"
import {
  ContextOverflow,
  type GenerateOptions,
  type Generation,
  type OnText,
  type PolicyError,
  type PolicySession,
  PolicyUnavailable,
  type SessionOptions
} from "../../../services/Policy.ts"
import type { Tokenizer } from "../../../services/Tokenizer.ts"
import * as CounterRandom from "./CounterRandom.ts"
import { accept, type Limits, nothing, request, type SessionState, settle } from "./Generating.ts"
import { held } from "./held.ts"
import { KvCache } from "./KvCache.ts"
import type { Network } from "./Packed.ts"
import { type Plan, plan, release, undo } from "./Planner.ts"
import { read } from "./read.ts"
import { step } from "./Step.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface SchedulerOptions {
  /** New tokens that one step reads at most. Default 2048. */
  readonly maxTokens?: number | undefined
  /** Sessions that one step serves at most. Default 256. */
  readonly maxSequences?: number | undefined
  /** Tokens that the cache has room for at first; it doubles by need. Default 4096. */
  readonly cacheTokens?: number | undefined
  /** Tokens that the cache may grow to. Unlimited unless told: the device's memory is the limit. */
  readonly maxCacheTokens?: number | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Scheduler {
  readonly session: (options: SessionOptions) => Effect.Effect<PolicySession, PolicyError, Scope.Scope>
  /** Blocks of the cache that sessions hold. */
  readonly usedBlocks: Effect.Effect<number>
  /** Tokens that were computed so far, whoever wrote them. */
  readonly computedTokens: Effect.Effect<number>
}

/** Sequences that a step serves before anything is known about the pace of a device that keeps its thread meanwhile. */
const firstSequences = 64

/** Milliseconds that a step may take. */
const wantedMillis = 1500

const toPolicyError = (error: DeviceError): PolicyError =>
  error._tag === "OutOfDeviceMemory" ? error : new PolicyUnavailable({ reason: error.message })

/** Tells pieces as they are drawn, in order, and answers when the last has been told. */
const aloud = Effect.fnUntraced(function*(
  draw: (onPiece: (piece: string) => void) => Effect.Effect<Generation, PolicyError>,
  onText: OnText
) {
  const pieces = yield* Queue.unbounded<string, Cause.Done>()
  const drawn = draw((piece) => Queue.offerUnsafe(pieces, piece))
  const [generation] = yield* Effect.all([
    Effect.ensuring(drawn, Queue.end(pieces)),
    Stream.runForEach(Stream.fromQueue(pieces), onText)
  ], { concurrency: 2 })
  return generation
})

/**
 * Starts the fiber; it ends with the scope. Only ids that the tokenizer has are drawn: the padding of an embedding has no
 * text.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fn("Scheduler.make")(function*(
  device: Device["Service"],
  network: Network,
  tokenizer: Tokenizer["Service"],
  version: () => number,
  options: SchedulerOptions = {}
): Effect.fn.Return<Scheduler, DeviceError, Scope.Scope> {
  const { cacheTokens = 4096, maxSequences = 256, maxTokens = 2048 } = options
  const blocksOf = (tokens: number) => Math.ceil(tokens / 16) + 1
  let maxBlocks = options.maxCacheTokens === undefined ? Number.POSITIVE_INFINITY : blocksOf(options.maxCacheTokens)
  const cache = yield* Effect.acquireRelease(
    device.run(() => new KvCache(network.config, Math.min(maxBlocks, blocksOf(cacheTokens)))),
    (cache) => Effect.ignore(device.run(() => cache.dispose()))
  )
  const limits: Limits = {
    endOfText: new Set([...tokenizer.endOfText, ...network.config.eosTokenIds]),
    contextLength: contextLength(network.config)
  }
  const sessions = new Set<SessionState>()
  const work = yield* Latch.make(false)
  let tokensNow = maxTokens
  let sequencesNow = device.capabilities.asynchronous ? maxSequences : Math.min(maxSequences, firstSequences)
  let computed = 0
  let broken: PolicyError | undefined

  const fail = (members: Iterable<SessionState>, error: PolicyError) => {
    for (const session of members) settle(session, Effect.fail(error))
  }

  /** More blocks, or as many sessions failed as must be for the others to go on. */
  const makeRoom = Effect.fnUntraced(function*(planned: Plan) {
    const { blocks } = cache
    const needed = blocks.count + planned.lacking
    // Twice as many, so that growing stays rare; where the memory lacks, what is needed.
    for (const wished of [Math.max(2 * blocks.count, needed), needed]) {
      const count = Math.min(maxBlocks, wished)
      if (count <= blocks.count) break
      const grown = yield* Effect.result(device.run(() => cache.grow(count)))
      if (grown._tag === "Success") return
      if (grown.failure._tag !== "OutOfDeviceMemory") return yield* grown.failure
      maxBlocks = count - 1
    }
    if (planned.sequences.length > 0) return
    const { bytes, limitBytes } = yield* device.memory
    const waiting = [...sessions].filter((session) => session.request !== undefined)
    fail(
      waiting.slice(-1),
      new OutOfDeviceMemory({
        device: device.name,
        requestedBytes: planned.lacking * cache.blockBytes,
        usedBytes: bytes,
        limitBytes: Math.min(limitBytes, maxBlocks * cache.blockBytes)
      })
    )
  })

  /** A step of decoding may be one call of the device: it serves as many sequences as take a second or two. */
  const pace = ({ sequences: all }: Plan, milliseconds: number) => {
    if (all.some(({ ids }) => ids.length > 1)) return
    const sequences = all.length
    if (milliseconds > 2 * wantedMillis) {
      sequencesNow = Math.max(1, Math.min(sequencesNow, Math.floor(sequences * wantedMillis / milliseconds)))
    } else if (milliseconds < wantedMillis / 2 && sequences >= sequencesNow) {
      sequencesNow = Math.min(maxSequences, 2 * sequencesNow)
    }
  }

  const compute = (planned: Plan) =>
    held(
      device,
      function*() {
        const begun = performance.now()
        if (planned.copies.length > 0) cache.copy(planned.copies)
        const drawn = yield* step(network, cache, planned.sequences, tokenizer.vocabularySize)
        pace(planned, performance.now() - begun)
        return drawn
      },
      (drawn) => read(device, drawn === undefined ? [] : [drawn.ids, drawn.logProb, drawn.modelLogProb])
    )

  const take = (planned: Plan, drawn: ReadonlyArray<ArrayLike<number>>) => {
    const [ids = [], logProbs = [], modelLogProbs = []] = drawn
    let row = 0
    for (let i = 0; i < planned.sessions.length; i++) {
      const session = planned.sessions[i]
      const sequence = planned.sequences[i]
      if (session === undefined || sequence === undefined) continue
      const own = sequence.draw === undefined ? -1 : row++
      if (!sessions.has(session)) continue
      session.cached += sequence.ids.length
      computed += sequence.ids.length
      const current = session.request
      if (own === -1 || current === undefined) continue
      const id = ids[own] ?? 0
      const logProb = logProbs[own] ?? Number.NaN
      const modelLogProb = modelLogProbs[own] ?? Number.NaN
      if (!Number.isFinite(logProb) || !Number.isFinite(modelLogProb)) {
        fail([session], new PolicyUnavailable({ reason: "the model's probabilities are not finite numbers" }))
        continue
      }
      const generation = accept(session, current, { id, logProb, modelLogProb }, limits)
      if (generation !== undefined) settle(session, Effect.succeed(generation))
    }
  }

  const turn = Effect.gen(function*() {
    yield* work.await
    const planned = plan(sessions, cache, version(), { maxTokens: tokensNow, maxSequences: sequencesNow })
    if (planned.lacking > 0) yield* makeRoom(planned)
    if (planned.sequences.length === 0) {
      undo(planned, cache)
      if (planned.lacking === 0) work.closeUnsafe()
      if (cache.hasWindow) yield* device.run(() => cache.dropWindow())
      return
    }
    const result = yield* Effect.result(compute(planned))
    if (result._tag === "Failure") undo(planned, cache)
    if (result._tag === "Success") {
      take(planned, result.success)
    } else if (result.failure._tag === "OutOfDeviceMemory" && tokensNow > 32) {
      tokensNow = Math.floor(tokensNow / 2)
    } else if (result.failure._tag === "OutOfDeviceMemory") {
      fail(planned.sessions, result.failure)
    } else {
      return yield* result.failure
    }
    yield* Effect.yieldNow
  })

  yield* Effect.forever(turn).pipe(
    Effect.catch((error) =>
      Effect.sync(() => {
        broken = toPolicyError(error)
        fail(sessions, broken)
      })
    ),
    Effect.onInterrupt(() =>
      Effect.sync(() => {
        broken = new PolicyUnavailable({ reason: "the engine has ended" })
        fail(sessions, broken)
      })
    ),
    Effect.forkScoped
  )

  const overflow = (tokens: number) => new ContextOverflow({ tokens, limit: limits.contextLength })

  const open = Effect.fnUntraced(function*({ ids, promptKey, seed }: SessionOptions) {
    if (ids.length === 0) {
      return yield* new PolicyUnavailable({ reason: "a session needs at least one token to start with" })
    }
    if (ids.length > limits.contextLength) return yield* overflow(ids.length)
    const vocabulary = network.config.vocabularySize
    const foreign = ids.find((id) => id < 0 || id >= vocabulary)
    if (foreign !== undefined) return yield* unknownToken(foreign, vocabulary)
    const session: SessionState = {
      promptKey,
      prompt: ids.length,
      random: CounterRandom.key(seed),
      ids: [...ids],
      blocks: [],
      cached: 0,
      drawn: 0,
      cacheVersion: version(),
      request: undefined
    }
    sessions.add(session)
    return session
  })

  /** Calls of one session are sequential: two generations would draw into one context. */
  const refusal = (own: SessionState): PolicyError | undefined =>
    !sessions.has(own)
      ? new PolicyUnavailable({ reason: "the session has ended" })
      : own.request !== undefined
      ? new PolicyUnavailable({ reason: "the session is generating; its calls are made one after the other" })
      : undefined

  const unknownToken = (id: number, vocabulary: number) =>
    new PolicyUnavailable({ reason: `token id ${id} is outside the model's vocabulary of ${vocabulary}` })

  const session = Effect.fn("Scheduler.session")(function*(
    options: SessionOptions
  ): Effect.fn.Return<PolicySession, PolicyError, Scope.Scope> {
    const own = yield* Effect.acquireRelease(open(options), (own) =>
      Effect.sync(() => {
        sessions.delete(own)
        if (own.request !== undefined) fail([own], new PolicyUnavailable({ reason: "the session has ended" }))
        release(own, cache)
      }))
    const draw = (generate: GenerateOptions, onPiece?: (piece: string) => void) =>
      Effect.suspend(() => {
        if (broken !== undefined) return Effect.fail(broken)
        const refused = refusal(own)
        if (refused !== undefined) return Effect.fail(refused)
        if (generate.maxTokens <= 0) return Effect.succeed(nothing(version()))
        if (own.ids.length >= limits.contextLength) return Effect.fail(overflow(own.ids.length + 1))
        const current = request(tokenizer, generate, version(), onPiece)
        own.request = current
        work.openUnsafe()
        return Effect.onInterrupt(Deferred.await(current.done), () =>
          Effect.sync(() => {
            if (own.request === current) own.request = undefined
          }))
      })
    return {
      append: (ids) =>
        Effect.suspend((): Effect.Effect<void, PolicyError> => {
          const refused = refusal(own)
          if (refused !== undefined) return Effect.fail(refused)
          const tokens = own.ids.length + ids.length
          if (tokens > limits.contextLength) return Effect.fail(overflow(tokens))
          const foreign = ids.find((id) => id < 0 || id >= network.config.vocabularySize)
          if (foreign !== undefined) return Effect.fail(unknownToken(foreign, network.config.vocabularySize))
          for (const id of ids) own.ids.push(id)
          return Effect.void
        }),
      generate: (generate, onText) =>
        onText === undefined ? draw(generate) : aloud((onPiece) => draw(generate, onPiece), onText)
    }
  })

  return {
    session,
    usedBlocks: Effect.sync(() => cache.blocks.used),
    computedTokens: Effect.sync(() => computed)
  }
})
