/**
 * The policies that `search-r1 rollout` can run: a model, what a run has learned, a script, a recording.
 *
 * @since 0.1.0
 */
import { Effect, Layer, Option, Path, Stream } from "effect"
import type { PolicySource } from "../domain/PolicySource.ts"
import { greedy, onPolicy } from "../domain/Sampling.ts"
import * as ContentHash from "../layers/contentHash.ts"
import { locate } from "../layers/model/location.ts"
import * as Pretrained from "../layers/model/Pretrained.ts"
import * as PolicyEngine from "../layers/policy/PolicyEngine.ts"
import * as PolicyReplay from "../layers/policy/PolicyReplay.ts"
import * as QuestionsFile from "../layers/questions/QuestionsFile.ts"
import * as TokenizerBytes from "../layers/tokenizer/TokenizerBytes.ts"
import type * as Rollout from "../programs/Rollout.ts"
import { rolloutOptions } from "../programs/train/Collect.ts"
import type { DeviceName } from "./deviceFlag.ts"
import * as PathKind from "./pathKind.ts"
import { layerScript, promptsOf, questionOf, readTrajectories } from "./policyScript.ts"
import * as TrainedPolicy from "./trainedPolicy.ts"
import { modelOf } from "./trainServices.ts"
import { userError } from "./userError.ts"

interface Input {
  readonly questions: Option.Option<string>
  readonly script: Option.Option<string>
  readonly replay: Option.Option<string>
  readonly model: Option.Option<string>
  readonly run: Option.Option<string>
  readonly checkpoint: string
  readonly temperature: number
  readonly device: DeviceName
  readonly strict: boolean
  readonly limit: Option.Option<number>
  readonly groupSize: number
}

const prompts = (input: Input) =>
  Option.match(input.limit, { onNone: () => promptsOf, onSome: (limit) => Stream.take(promptsOf, limit) })

/** Scripted and recorded policies speak in bytes, which take more room than tokens. */
const inBytes = {
  maxPromptTokens: 4096,
  maxResponseTokens: 2000,
  maxObservationTokens: 4000,
  maxContextTokens: 32_768,
  sampling: greedy
} satisfies Partial<Rollout.Options>

const friendly = <A, E extends Error, R>(layer: Layer.Layer<A, E, R>) =>
  Layer.catch(layer, (error) => Layer.effectContext(Effect.fail(userError(error))))

/**
 * How a rollout takes its parts.
 *
 * @category constants
 * @since 0.2.0
 */
export const ways: PathKind.Ways = {
  ...PathKind.searching,
  questions: PathKind.byFlag("--questions"),
  script: PathKind.byFlag("--script"),
  rollouts: PathKind.byFlag("--replay"),
  model: PathKind.byFlag("--model"),
  run: PathKind.byFlag("--run")
}

const questionsOf = Effect.fnUntraced(function*(input: Input) {
  if (Option.isSome(input.questions)) {
    return Stream.provide(prompts(input), QuestionsFile.layer({ paths: [input.questions.value] }))
  }
  return yield* userError("A rollout needs questions and a policy.", "Give --questions FILE.")
})

const modelPolicy = (path: string, { device }: Input) =>
  friendly(Layer.merge(Pretrained.layerTokenizer(path), PolicyEngine.layer({ model: path, device }))).pipe(
    PathKind.explainLayer(PathKind.given("model", path), ways)
  )

const runPolicy = (run: TrainedPolicy.Run, checkpoint: string) => {
  const untrained = TrainedPolicy.layer(run)
  return Layer.effectDiscard(TrainedPolicy.restore(run, checkpoint)).pipe(Layer.provideMerge(untrained))
}

/** A policy without tokens of its own. */
const spoken = (kind: "script" | "replay", place: string): PolicySource => ({ kind, place, model: null })

/** A policy that is a model, or was one before it learned. */
const learned = Effect.fnUntraced(function*(kind: "model" | "run", place: string, model: string) {
  const path = (yield* Path.Path).resolve(yield* locate(model))
  const sha256 = yield* Effect.mapError(ContentHash.ofModel(path), (error) => userError(error))
  const source: PolicySource = { kind, place, model: { path, sha256 } }
  return source
})

/**
 * The run whose policy is asked for, if any.
 *
 * @category constructors
 * @since 0.2.0
 */
export const runOf = (input: Input) =>
  Effect.transposeOption(
    Option.map(input.run, (run) => TrainedPolicy.open({ run, device: Option.some(input.device) }, ways))
  )

/**
 * Prompts, policy with its tokenizer, the limits that go with it, and what tells later who made the rollouts. `run` is the one
 * that {@link runOf} has looked up.
 *
 * @category constructors
 * @since 0.1.0
 */
export const source = Effect.fnUntraced(function*(input: Input, run: Option.Option<TrainedPolicy.Run>) {
  const named = [input.script, input.replay, input.model, input.run].filter(Option.isSome).length
  if (named !== 1) {
    return yield* userError(
      named === 0 ? "A rollout needs questions and a policy." : "A rollout has one policy.",
      "Give --questions FILE with one of --model DIR, --run DIR and --script FILE, or --replay FILE with what an earlier run wrote."
    )
  }
  const { groupSize } = input
  const sampling = { ...onPolicy, temperature: input.temperature }
  if (Option.isSome(input.replay)) {
    const recorded = yield* readTrajectories(input.replay.value)
    const instances = new Map(
      recorded.map((trajectory): [string, Rollout.PromptInstance] => [trajectory.promptKey, trajectory])
    )
    return {
      prompts: Stream.fromIterable(instances.values()),
      policy: PolicyReplay.layer(recorded, { observations: input.strict ? "check" : "ignore" }).pipe(
        Layer.provideMerge(TokenizerBytes.layer)
      ),
      groupSize: Math.max(1, ...recorded.map((trajectory) => trajectory.sample + 1)),
      limits: inBytes,
      madeBy: Effect.succeed(spoken("replay", input.replay.value))
    }
  }
  const asked = yield* questionsOf(input)
  if (Option.isSome(run)) {
    return {
      prompts: asked,
      policy: runPolicy(run.value, input.checkpoint),
      groupSize,
      limits: { ...rolloutOptions(run.value.config), sampling },
      madeBy: learned("run", run.value.folder.directory, modelOf(run.value.config))
    }
  }
  if (Option.isSome(input.model)) {
    const { value: model } = input.model
    return {
      prompts: asked,
      policy: modelPolicy(model, input),
      groupSize,
      limits: { sampling },
      madeBy: learned("model", model, model)
    }
  }
  const script = Option.getOrElse(input.script, () => "")
  return {
    prompts: asked,
    policy: layerScript(script, questionOf).pipe(Layer.provideMerge(TokenizerBytes.layer)),
    groupSize,
    limits: inBytes,
    madeBy: Effect.succeed(spoken("script", script))
  }
})
