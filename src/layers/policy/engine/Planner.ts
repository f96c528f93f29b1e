/**
 * Decides what the next step of generation computes: continuous batching over sessions, decoding and prefill mixed.
 *
 * @since 0.1.0
 */
import { uniform } from "./CounterRandom.ts"
import type { SessionState } from "./Generating.ts"
import { blockSize, type KvCache } from "./KvCache.ts"
import type { StepSequence } from "./Step.ts"

/**
 * A step: `sessions` get `sequences` in the same order, after the cached tokens in `copies` have been copied.
 *
 * @category models
 * @since 0.1.0
 */
export interface Plan {
  readonly sessions: ReadonlyArray<SessionState>
  readonly sequences: ReadonlyArray<StepSequence>
  readonly copies: ReadonlyArray<{ readonly from: number; readonly to: number; readonly tokens: number }>
  /** Sessions that were started on another one's cached prompt in this plan. */
  readonly forked: ReadonlyArray<SessionState>
  /** Blocks that sessions are waiting for. */
  readonly lacking: number
}

/**
 * @category models
 * @since 0.1.0
 */
export interface PlanLimits {
  readonly maxTokens: number
  readonly maxSequences: number
}

const blocksFor = (tokens: number): number => Math.ceil(tokens / blockSize)

const samePrompt = (a: SessionState, b: SessionState): boolean => {
  if (a.promptKey !== b.promptKey || a.prompt !== b.prompt) return false
  for (let i = 0; i < a.prompt; i++) if (a.ids[i] !== b.ids[i]) return false
  return true
}

/**
 * A session whose cache holds the prompt (`ready`), or one that is about to (`coming`).
 */
const donorOf = (
  session: SessionState,
  sessions: Iterable<SessionState>
): { readonly ready?: SessionState; readonly coming: boolean } => {
  let coming = false
  for (const other of sessions) {
    if (other === session) break
    if (other.promptKey !== session.promptKey || !samePrompt(other, session)) continue
    if (other.cached >= session.prompt - 1 && other.cacheVersion === session.cacheVersion) {
      return { ready: other, coming: false }
    }
    coming = coming || (other.request !== undefined && other.cacheVersion === session.cacheVersion)
  }
  return { coming }
}

/**
 * Plans a step over the sessions that generate. Sessions with the same prompt wait for the first of them to read it, then
 * share its whole blocks and copy the last, partly filled one; only the prompt's last token is computed for each.
 *
 * @category operations
 * @since 0.1.0
 */
export const plan = (
  sessions: ReadonlySet<SessionState>,
  cache: KvCache,
  version: number,
  limits: PlanLimits
): Plan => {
  const { blocks } = cache
  const copies: Array<{ readonly from: number; readonly to: number; readonly tokens: number }> = []
  const forked: Array<SessionState> = []
  const decoding: Array<readonly [SessionState, StepSequence]> = []
  const reading: Array<readonly [SessionState, StepSequence]> = []
  // Sessions by prompt are of use only to those that have yet to read theirs.
  let reads = false
  for (const { cached, prompt, request } of sessions) reads ||= cached === 0 && prompt > 1 && request !== undefined
  const prompts = new Map<string, Array<SessionState>>()
  let budget = limits.maxTokens
  let lacking = 0
  for (const session of sessions) {
    if (session.cached === 0) session.cacheVersion = version
    if (reads) {
      const mates = prompts.get(session.promptKey)
      if (mates === undefined) prompts.set(session.promptKey, [session])
      else mates.push(session)
    }
    const { request } = session
    if (request === undefined || budget <= 0 || decoding.length + reading.length >= limits.maxSequences) continue
    if (session.cached === 0 && session.prompt > 1) {
      const donor = donorOf(session, prompts.get(session.promptKey) ?? [])
      if (donor.coming) continue
      if (donor.ready !== undefined) {
        if (!fork(session, donor.ready, cache, copies)) {
          lacking++
          continue
        }
        forked.push(session)
      }
    }
    const size = Math.min(session.ids.length - session.cached, budget)
    const missing = blocksFor(session.cached + size) - session.blocks.length
    if (missing > blocks.available) {
      lacking += missing
      continue
    }
    for (let i = 0; i < missing; i++) session.blocks.push(blocks.take() ?? 0)
    budget -= size
    const ids = session.ids.slice(session.cached, session.cached + size)
    const { temperature, topK, topP } = request.options.sampling
    const { blocks: own, cached } = session
    const sequence = session.cached + size === session.ids.length
      ? {
        ids,
        cached,
        blocks: own,
        draw: { temperature, topK, topP, uniform: uniform(session.random, session.drawn) }
      }
      : { ids, cached, blocks: own }
    const list = size === 1 ? decoding : reading
    list.push([session, sequence])
  }
  const all = [...decoding, ...reading]
  return {
    sessions: all.map(([session]) => session),
    sequences: all.map(([, sequence]) => sequence),
    copies,
    forked,
    lacking
  }
}

/** Starts a session on another one's cached prompt; false where a block is missing for it. */
const fork = (
  session: SessionState,
  donor: SessionState,
  cache: KvCache,
  copies: Array<{ readonly from: number; readonly to: number; readonly tokens: number }>
): boolean => {
  const { blocks } = cache
  const shared = session.prompt - 1
  const whole = Math.floor(shared / blockSize)
  const tokens = shared % blockSize
  if (tokens > 0) {
    const to = blocks.take()
    if (to === undefined) return false
    copies.push({ from: donor.blocks[whole] ?? 0, to, tokens })
    session.blocks.push(...donor.blocks.slice(0, whole), to)
  } else {
    session.blocks.push(...donor.blocks.slice(0, whole))
  }
  for (const block of session.blocks.slice(0, whole)) blocks.share(block)
  session.cached = shared
  return true
}

/**
 * Takes back what a plan gave to sessions that it forked: for a plan whose step did not happen.
 *
 * @category operations
 * @since 0.1.0
 */
export const undo = (planned: Plan, cache: KvCache): void => {
  for (const session of planned.forked) release(session, cache)
}

/**
 * Frees what a session holds.
 *
 * @category operations
 * @since 0.1.0
 */
export const release = (session: SessionState, cache: KvCache): void => {
  for (const block of session.blocks) cache.blocks.release(block)
  session.blocks.length = 0
  session.cached = 0
}
