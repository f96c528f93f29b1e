/**
 * `search-r1 device plan`: what a model takes on a device, before anything is loaded.
 *
 * @since 0.1.0
 */
import { Console, Effect, Option, Schema } from "effect"
import { Argument, Command } from "effect/cli"
import * as IndexMemory from "../domain/IndexMemory.ts"
import { type MemoryPlan, plan } from "../domain/MemoryPlan.ts"
import { contextLength } from "../domain/ModelConfig.ts"
import { plural } from "../domain/Plural.ts"
import * as MachineMemory from "../layers/machineMemory.ts"
import * as HuggingFaceModel from "../layers/model/HuggingFaceModel.ts"
import * as CorpusSize from "../layers/retriever/corpusSize.ts"
import { deviceFlags } from "./deviceFlag.ts"
import { deviceMemory } from "./deviceMemory.ts"
import * as Flag from "./flag.ts"
import * as PathKind from "./pathKind.ts"
import { table } from "./table.ts"
import * as TextWidth from "./textWidth.ts"
import { userError } from "./userError.ts"

const GiB = 2 ** 30

/**
 * @category formatting
 * @since 0.1.0
 */
export const gib = (bytes: number): string => (bytes / GiB).toFixed(bytes < GiB ? 3 : 2)

/**
 * What takes memory, in GiB.
 *
 * @category formatting
 * @since 0.1.0
 */
export const memoryRows = (planned: MemoryPlan, training: boolean): ReadonlyArray<ReadonlyArray<string>> => [
  [`weights (${planned.parameters.toLocaleString("en")})`, gib(planned.weights)],
  ...(training
    ? [["gradients", gib(planned.gradients)], ["optimizer", gib(planned.optimizer)]]
    : []),
  ...(planned.reference > 0 ? [["reference", gib(planned.reference)]] : []),
  ...(planned.critic > 0 ? [["critic", gib(planned.critic)]] : []),
  ["key-value cache", gib(planned.cache)],
  ["workspace", gib(planned.workspace)],
  ["together", gib(planned.fixed)],
  ...(training
    ? [
      ["activations of 1,000 tokens", gib(1000 * planned.activationsPerToken.everything)],
      ["… keeping layers' inputs only", gib(1000 * planned.activationsPerToken.inputs)]
    ]
    : [])
]

const encodeLine = Schema.encodeEffect(Schema.fromJsonString(Schema.Unknown))

/** What a search in a corpus takes, and what the machine can give. */
const searchOf = Effect.fnUntraced(function*(corpus: Option.Option<string>, engine: "lunr" | "bm25") {
  if (Option.isNone(corpus)) return undefined
  const found = yield* Effect.mapError(CorpusSize.of(corpus.value, { whole: true }), (error) => userError(error))
  const { bytes } = yield* MachineMemory.available()
  return {
    engine,
    passages: found.passages,
    ...(engine === "lunr" ? IndexMemory.lunr(found) : IndexMemory.bm25(found)),
    machineBytes: bytes
  }
})

const positive = Schema.Int.check(Schema.isGreaterThan(0))

/**
 * @category commands
 * @since 0.1.0
 */
export const devicePlan = Command.make("plan", {
  model: Argument.Directory("model").pipe(Argument.withDescription("A model directory; its config.json suffices")),
  ...deviceFlags,
  memory: Flag.Finite("memory").pipe(
    Flag.withDescription("GiB that the device has (default what it says, or the machine's free memory)"),
    Flag.optional
  ),
  storage: Flag.Literals("storage", ["float32", "bfloat16"]).pipe(
    Flag.withDescription("Precision of weights and activations (default the device's)"),
    Flag.optional
  ),
  tokens: Flag.Int("tokens").pipe(
    Flag.withSchema(positive),
    Flag.withDescription("Tokens of the longest trajectory (default 4096, or the model's context)"),
    Flag.optional
  ),
  sessions: Flag.Int("sessions").pipe(
    Flag.withSchema(positive),
    Flag.withDescription("Trajectories that are generated at once"),
    Flag.withDefault(64)
  ),
  reference: Flag.Boolean("reference").pipe(
    Flag.withDescription("With a frozen copy of the first weights, for a KL term"),
    Flag.withDefault(false)
  ),
  critic: Flag.Boolean("critic").pipe(
    Flag.withDescription("With a critic, for PPO"),
    Flag.withDefault(false)
  ),
  sampling: Flag.Boolean("sampling-only").pipe(
    Flag.withDescription("Without gradients and optimizer: rollouts and evaluation"),
    Flag.withDefault(false)
  ),
  corpus: Flag.String("corpus").pipe(
    Flag.withAlias("c"),
    Flag.withMetavar("FILE"),
    Flag.withDescription("Count what a search in this corpus takes of the machine's memory too"),
    Flag.optional
  ),
  engine: Flag.Literals("engine", ["lunr", "bm25"]).pipe(
    Flag.withDescription("What searches --corpus"),
    Flag.withDefault("lunr" as const)
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("Print one JSON line with all figures in bytes"),
    Flag.withDefault(false)
  )
}, (input) =>
  Effect.gen(function*() {
    const config = yield* HuggingFaceModel.readShape(input.model).pipe(
      Effect.mapError((error) => userError(error)),
      PathKind.explain(PathKind.given("model", input.model), PathKind.model)
    )
    const given = Option.map(input.memory, (amount) => amount * GiB)
    const device = Option.isSome(given) && Option.isSome(input.storage)
      ? undefined
      : yield* deviceMemory(input.device)
    const limitBytes = Option.getOrElse(given, () => device?.limitBytes ?? 0)
    const storage = Option.getOrElse(input.storage, () => device?.storage ?? "float32")
    const sequenceTokens = Option.getOrElse(input.tokens, () => Math.min(4096, contextLength(config)))
    const training = !input.sampling
    const { critic, reference, sessions } = input
    const planned = plan(config, { storage, limitBytes, sequenceTokens, sessions, reference, critic, training })
    const search = yield* searchOf(input.corpus, input.engine)
    if (input.json) {
      const line = encodeLine({
        ...planned,
        limitBytes,
        storage,
        sequenceTokens,
        ...(search === undefined ? {} : { search })
      })
      yield* Effect.flatMap(Effect.orDie(line), Console.log)
    } else {
      const heading = `${storage}, ${plural(sessions, "session")} of ${plural(sequenceTokens, "token")}`
      yield* Console.log(
        table(
          [{ heading }, { heading: "GiB", align: "right" }],
          memoryRows(planned, training),
          yield* TextWidth.available
        )
      )
      yield* Console.log(`\nThe device has ${gib(limitBytes)} GiB.`)
      if (search !== undefined) {
        yield* Console.log(
          `Beside it ${input.engine} takes ${gib(search.resident)} GiB of the machine for ${
            plural(search.passages, "passage")
          }, and ${gib(search.building)} GiB while the index is built; the machine can give ${
            gib(search.machineBytes)
          } GiB.`
        )
      }
    }
    if (search !== undefined && Math.max(search.resident, search.building) > search.machineBytes) {
      return yield* userError(
        `The index does not fit: ${
          gib(Math.max(search.resident, search.building))
        } GiB are needed, and the machine can give ${gib(search.machineBytes)} GiB.`,
        input.engine === "lunr" ? "Take --engine bm25, or search elsewhere." : "Search elsewhere, or a smaller corpus."
      )
    }
    if (!planned.fits) {
      const [first = "", ...rest] = planned.advice
      return yield* userError(`This does not fit: ${first}.`, rest.map((line) => `  - ${line}`).join("\n"))
    }
    if (training && !input.json) {
      const { everything, inputs } = planned.microBatchTokens
      yield* Console.log(
        `The largest micro-batch that fits is ${plural(everything, "token")}, or ${
          inputs.toLocaleString("en")
        } keeping layers' inputs only.`
      )
    }
  })).pipe(
    Command.withDescription(
      "Show what weights, gradients, optimizer, key-value cache and activations of a model take, the largest batch " +
        "that fits, and what to change where it does not."
    ),
    Command.withShortDescription("Show what a model takes on a device"),
    Command.withExamples([
      { command: "search-r1 device plan ./Qwen2.5-0.5B --device torch", description: "Train on this machine's card" },
      {
        command: "search-r1 device plan ./Qwen2.5-3B --memory 80 --storage bfloat16 --critic",
        description: "Would PPO fit an 80 GiB card?"
      }
    ])
  )
