/**
 * `search-r1 logits`: what a model computes, to hold it against other implementations.
 *
 * @since 0.1.0
 */
import { Console, Effect, Option, Result, Schema } from "effect"
import { Argument, CliError, Command } from "effect/cli"
import * as Json from "../domain/Json.ts"
import { ModelConfig, Precision } from "../domain/ModelConfig.ts"
import * as Weights from "../layers/model/Weights.ts"
import { probe } from "../layers/policy/engine/Probe.ts"
import * as SystemReason from "../layers/systemReason.ts"
import * as TextFile from "../layers/textFile.ts"
import { deviceFlags, deviceLayer } from "./deviceFlag.ts"
import * as Flag from "./flag.ts"
import * as PathKind from "./pathKind.ts"
import * as Stopping from "./stopping.ts"
import { userError } from "./userError.ts"

const decodeIds = Json.decode(Schema.NonEmptyArray(Schema.Natural))

const readIds = Effect.fnUntraced(function*(path: string) {
  const text = yield* TextFile.whole(path).pipe(
    Effect.mapError((error) => userError(`${path}: ${SystemReason.of(error)}`))
  )
  return yield* Effect.fromResult(Result.mapError(
    decodeIds(text),
    (reason) => userError(`${path}: ${reason}`, "A JSON array of token ids is expected, such as [1, 403, 407].")
  ))
})

const Numbers = Schema.Array(Schema.Finite)

const encodeProbe = Schema.encodeResult(Schema.fromJsonString(Schema.Struct({
  lastLogits: Numbers,
  tokenLogprobs: Numbers,
  entropy: Numbers,
  greedy: Schema.Array(Schema.Natural)
})))

/**
 * @category commands
 * @since 0.1.0
 */
export const logits = Command.make("logits", {
  model: Argument.String("model").pipe(
    Argument.withDescription("A folder with config.json and safetensors, or a llama2.c .bin file")
  ),
  ids: Flag.String("ids").pipe(
    Flag.withMetavar("ids.json"),
    Flag.withDescription("A file with a JSON array of token ids")
  ),
  greedy: Flag.Int("greedy").pipe(
    Flag.withMetavar("n"),
    Flag.withDescription("How many of the likeliest tokens to go on with; ends of text do not stop them"),
    Flag.withDefault(0)
  ),
  ropePrecision: Flag.Literals("rope-precision", Precision.literals).pipe(
    Flag.withDescription(
      "Round the rotary frequencies to a format, as PyTorch does when a whole module is cast (model.to(torch.bfloat16)); transformers' from_pretrained keeps them in float32, and so does this command (default float32)"
    ),
    Flag.optional
  ),
  ...deviceFlags
}, ({ device, greedy, ids, model, ropePrecision }) =>
  Effect.gen(function*() {
    if (greedy < 0) return yield* userError(`--greedy ${greedy}: expected 0 or more tokens`)
    const tokens = Int32Array.from(yield* readIds(ids))
    const weights = yield* Weights.read(model)
    const config = Option.match(ropePrecision, {
      onNone: () => weights.config,
      onSome: (ropePrecision) => new ModelConfig({ ...weights.config, ropePrecision })
    })
    const found = yield* probe({ ...weights, config }, tokens, greedy).pipe(
      Effect.scoped,
      Effect.provide(deviceLayer({ device })),
      Stopping.waitsFor(Stopping.deviceCall)
    )
    const line = yield* Effect.fromResult(Result.mapError(
      encodeProbe({
        lastLogits: Array.from(found.lastLogits),
        tokenLogprobs: Array.from(found.tokenLogprobs),
        entropy: Array.from(found.entropy),
        greedy: Array.from(found.greedy)
      }),
      () => userError(`${model}: the model computes numbers that are not finite; are its weights whole?`)
    ))
    yield* Console.log(line)
  }).pipe(
    Effect.catchIf((error) => !CliError.isCliError(error), (error) => Effect.fail(userError(error))),
    PathKind.explain(PathKind.given("model", model), PathKind.model)
  )).pipe(
    Command.withDescription(
      "Print what a model computes for a list of tokens, as one JSON object: lastLogits (scores of the next token), tokenLogprobs and entropy (in nats, of every token but the first given those before it) and greedy (the likeliest tokens one after the other, through the key-value cache). For holding models and devices against other implementations."
    ),
    Command.withShortDescription("Print what a model computes for a list of tokens"),
    Command.withExamples([
      {
        command: "search-r1 logits ./Qwen2.5-0.5B --ids prompt.json --greedy 24",
        description: "Logits, log-probabilities and 24 greedy tokens"
      },
      {
        command: "search-r1 logits stories260K.bin --ids prompt.json --device cpu",
        description: "A llama2.c model on another device"
      }
    ])
  )
