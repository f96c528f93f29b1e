/**
 * What a run takes of a machine's memory, phase by phase, worked out before anything is loaded.
 *
 * @since 0.2.0
 */
import * as IndexMemory from "./IndexMemory.ts"
import * as MemoryPlan from "./MemoryPlan.ts"
import { contextLength, type ModelConfig } from "./ModelConfig.ts"
import type { RunConfig } from "./RunConfigSchema.ts"
import * as RunPlan from "./RunPlan.ts"

/**
 * Where the run is to happen. `deviceBytes` is what the device may use by itself, infinite where only the machine limits it;
 * `machineBytes` what the machine can still give. Tensors of a device that is not `separate` lie in the machine's memory.
 *
 * @category models
 * @since 0.2.0
 */
export interface Place {
  readonly storage: "float32" | "bfloat16"
  readonly deviceBytes: number
  readonly machineBytes: number
  readonly separate: boolean
  /** Whether attention reads the key-value cache where it is; else the sessions of a step are copied together. */
  readonly paged: boolean
  /** Whether the device keeps what it once took of the machine (WebAssembly's memory only grows). */
  readonly growing: boolean
}

/**
 * A part of the run: the bytes that are taken on the device and in the machine, those of the device not counted twice.
 *
 * @category models
 * @since 0.2.0
 */
export interface Phase {
  readonly name: "index" | "sampling" | "evaluation" | "training" | "checkpoint"
  readonly device: number
  readonly machine: number
}

/**
 * @category models
 * @since 0.2.0
 */
export interface RunMemory {
  readonly parameters: number
  readonly weights: number
  readonly optimizer: number
  readonly gradients: number
  readonly referencePolicy: number
  /** Weights and moments of the critic; its gradients are made when the policy's are gone. */
  readonly critic: number
  /** Key-value cache of the rollouts that are in flight at once, all at full length. */
  readonly samplingCache: number
  readonly samplingSessions: number
  readonly evaluationCache: number
  readonly evaluationSessions: number
  /** Tokens for which the cache ever needs room. */
  readonly cacheTokens: number
  readonly sequenceTokens: number
  readonly microBatchTokens: number
  readonly activations: number
  readonly workspace: number
  /** The copy that a checkpoint is written from. */
  readonly checkpointCopy: number
  /** The program itself, and the trajectories of a step. */
  readonly program: number
  /** Indexes and passages that are searched in this process, and at most while they are made. */
  readonly index: IndexMemory.IndexMemory
  readonly phases: ReadonlyArray<Phase>
  /** The most that any phase takes. */
  readonly needed: { readonly device: number; readonly machine: number }
  readonly fits: boolean
  /** What is too much, and assignments for `--set` that would mend it. */
  readonly problem: string | null
  readonly set: ReadonlyArray<string>
}

/** What Node, this program and its libraries take before anything is loaded. */
const program = 350 * 2 ** 20

/** Bytes that a token of a trajectory takes outside the device: ids, text, log-probabilities, advantages, masks. */
const perTrajectoryToken = 100

/** Tokens of a block of the cache, blocks that are held back, and new tokens that a step of generation reads. */
const blockTokens = 16
const spareBlocks = 64
const stepTokens = 2048
const stepSessions = 256

const gib = (bytes: number): string => (bytes / 2 ** 30).toFixed(2)

/**
 * The most tokens that one rollout can have.
 *
 * @category getters
 * @since 0.2.0
 */
export const sequenceTokens = ({ rollout }: RunConfig, model: ModelConfig): number => {
  const turns = rollout.doSearch ? rollout.maxTurns * (rollout.maxResponseTokens + rollout.maxObservationTokens) : 0
  return Math.min(
    rollout.maxContextTokens,
    contextLength(model),
    rollout.maxPromptTokens + turns + rollout.maxResponseTokens
  )
}

const cacheTokensOf = (sessions: number, tokens: number): number =>
  sessions === 0 ? 0 : sessions * blockTokens * Math.ceil((tokens + 1) / blockTokens) + spareBlocks * blockTokens

interface Known {
  readonly evaluationQuestions: number | null
  readonly index: IndexMemory.IndexMemory
}

const measure = (
  config: RunConfig,
  model: ModelConfig,
  place: Place,
  { evaluationQuestions, index }: Known
): Omit<RunMemory, "fits" | "problem" | "set"> => {
  const { rollout, update } = config
  const longest = sequenceTokens(config, model)
  const samplingSessions = RunPlan.sessions(config)
  // rollouts of later steps go on while the policy is evaluated
  const ahead = samplingSessions - samplingSessions / (1 + rollout.staleness)
  const asked = RunPlan.evaluates(config, config.steps, true)
    ? Math.min(config.evaluation.questions ?? Number.POSITIVE_INFINITY, evaluationQuestions ?? Number.POSITIVE_INFINITY)
    : 0
  const evaluationSessions = asked === 0 ? 0 : Math.min(rollout.concurrency, asked) + ahead
  const parts = MemoryPlan.plan(model, {
    storage: place.storage,
    limitBytes: place.deviceBytes,
    sequenceTokens: longest,
    sessions: 0,
    reference: RunPlan.usesReference(config),
    critic: RunPlan.usesCritic(config),
    training: true
  })
  const critic = RunPlan.usesCritic(config) ? parts.weights + parts.optimizer : 0
  const resident = parts.weights + parts.optimizer + parts.reference + critic
  const samplingTokens = cacheTokensOf(samplingSessions, longest)
  const evaluationTokens = cacheTokensOf(evaluationSessions, longest)
  const cacheTokens = Math.max(samplingTokens, evaluationTokens)
  const cache = cacheTokens * parts.cachePerToken
  const windowOf = (sessions: number) =>
    place.paged ? 0 : Math.min(sessions, stepSessions) * longest * parts.cachePerToken
  const reading = stepTokens * (parts.activationsPerToken.everything / model.layers)
  const drawing = Math.min(Math.max(samplingSessions, evaluationSessions), stepSessions) * model.vocabularySize * 8

  const miniBatch = Math.ceil(rollout.prompts * rollout.groupSize / RunPlan.updatesPerStep(config) * update.epochs)
  const room = place.deviceBytes - resident - cache - parts.gradients - parts.workspace
  const wanted = Math.min(Math.max(update.microBatchTokens, longest), Math.max(1, miniBatch) * longest)
  // a device that knows its limit is given less at once, down to one sequence layer by layer
  const microBatchTokens = Math.min(wanted, Math.max(longest, Math.floor(room / parts.activationsPerToken.everything)))
  const everything = microBatchTokens * parts.activationsPerToken.everything
  const activations = everything <= room ? everything : longest * parts.activationsPerToken.inputs

  const trajectories = rollout.prompts * rollout.groupSize * (1 + rollout.staleness)
  const own = program + trajectories * longest * perTrajectoryToken + index.resident
  const checkpointCopy = 12 * parts.parameters * (RunPlan.usesCritic(config) ? 2 : 1)
  const phase = (name: Phase["name"], device: number, machine = own): Phase => ({
    name,
    device,
    machine: machine + (place.separate ? 0 : device)
  })
  const samplingCache = samplingTokens * parts.cachePerToken
  const evaluationCache = evaluationTokens * parts.cachePerToken
  const making = index.building === 0 ? [] : [phase("index", 0, program + index.building)]
  const working = [
    phase("sampling", resident + samplingCache + windowOf(samplingSessions) + reading + drawing),
    ...(evaluationSessions === 0
      ? []
      : [phase("evaluation", resident + evaluationCache + windowOf(evaluationSessions) + reading + drawing)]),
    phase("training", resident + cache + parts.gradients + parts.workspace + activations)
  ]
  const most = Math.max(...working.map(({ device }) => device))
  const phases = [
    ...making,
    ...working,
    phase("checkpoint", place.growing ? most : resident + cache, own + checkpointCopy)
  ]
  return {
    parameters: parts.parameters,
    weights: parts.weights,
    optimizer: parts.optimizer,
    gradients: parts.gradients,
    referencePolicy: parts.reference,
    critic,
    samplingCache,
    samplingSessions,
    evaluationCache,
    evaluationSessions,
    cacheTokens,
    sequenceTokens: longest,
    microBatchTokens,
    activations,
    workspace: parts.workspace,
    checkpointCopy,
    program: own - index.resident,
    index,
    phases,
    needed: {
      device: Math.max(...phases.map(({ device }) => device)),
      machine: Math.max(...phases.map(({ machine }) => machine))
    }
  }
}

const excess = ({ needed }: Pick<RunMemory, "needed">, place: Place): number =>
  Math.max(needed.device - place.deviceBytes, needed.machine - place.machineBytes)

const withConcurrency = (config: RunConfig, concurrency: number): RunConfig => ({
  ...config,
  rollout: { ...config.rollout, concurrency }
})

const withMicroBatch = (config: RunConfig, microBatchTokens: number): RunConfig => ({
  ...config,
  update: { ...config.update, microBatchTokens }
})

/** Fewer rollouts at once, smaller micro-batches, or both: what costs time and no result. */
const mend = (
  config: RunConfig,
  fitting: (config: RunConfig) => boolean,
  least: number
): ReadonlyArray<string> => {
  const halves = (from: number, to: number): ReadonlyArray<number> => {
    const values: Array<number> = []
    for (let value = Math.floor(from / 2); value >= to; value = Math.floor(value / 2)) values.push(value)
    return values
  }
  const { rollout, update } = config
  const inFlight = Math.min(rollout.concurrency, Math.max(rollout.prompts * rollout.groupSize, 1024))
  const concurrencies = halves(inFlight, 1)
  const microBatches = halves(update.microBatchTokens, least)
  const fewer = concurrencies.find((value) => fitting(withConcurrency(config, value)))
  if (fewer !== undefined) return [`rollout.concurrency=${fewer}`]
  const smaller = microBatches.find((value) => fitting(withMicroBatch(config, value)))
  if (smaller !== undefined) return [`update.microBatchTokens=${smaller}`]
  const smallest = withMicroBatch(config, Math.min(update.microBatchTokens, least))
  const both = concurrencies.find((value) => fitting(withConcurrency(smallest, value)))
  return both === undefined
    ? []
    : [`rollout.concurrency=${both}`, `update.microBatchTokens=${smallest.update.microBatchTokens}`]
}

/**
 * What is searched in the process of a run.
 *
 * @category models
 * @since 0.2.0
 */
export interface Searched {
  readonly memory: IndexMemory.IndexMemory
  /** What another engine would take, and the assignment that chooses it. */
  readonly instead?: { readonly set: string; readonly memory: IndexMemory.IndexMemory } | undefined
}

/**
 * Plans a run. `evaluationQuestions` is how many there are to evaluate on, null where nobody knows; `searched` what its
 * search takes where that is done in its own process.
 *
 * @category constructors
 * @since 0.2.0
 */
export const plan = (
  config: RunConfig,
  model: ModelConfig,
  place: Place,
  evaluationQuestions: number | null = null,
  searched: Searched = { memory: IndexMemory.none }
): RunMemory => {
  const known = { evaluationQuestions, index: searched.memory }
  const planned = measure(config, model, place, known)
  if (excess(planned, place) <= 0) return { ...planned, fits: true, problem: null, set: [] }
  const { instead } = searched
  const engine = instead !== undefined &&
      excess(measure(config, model, place, { ...known, index: instead.memory }), place) <= 0
    ? [instead.set]
    : undefined
  const set = engine ?? mend(
    config,
    (other) => excess(measure(other, model, place, known), place) <= 0,
    Math.max(1, planned.sequenceTokens)
  )
  const { device, machine } = planned.needed
  const short = device > place.deviceBytes
    ? { bytes: device, there: place.deviceBytes, of: "device" as const }
    : { bytes: machine, there: place.machineBytes, of: "machine" as const }
  const worst = planned.phases.reduce((a, b) => b[short.of] > a[short.of] ? b : a)
  return {
    ...planned,
    fits: false,
    problem: `${worst.name === "index" ? "building the index of the corpus" : worst.name} takes ${
      gib(short.bytes)
    } GiB, and the ${short.of} has ${gib(short.there)} GiB`,
    set
  }
}
