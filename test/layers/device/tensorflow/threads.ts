/** Starts an engine on TensorFlow, ends its thread, and starts another one in the same process. Run by threads.test.ts. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect } from "effect"
import { greedy } from "../../../../src/domain/Sampling.ts"
import * as Assets from "../../../../src/layers/assets.ts"
import * as PolicyEngine from "../../../../src/layers/policy/PolicyEngine.ts"
import { Policy } from "../../../../src/services/Policy.ts"

const generated = Effect.gen(function*() {
  const policy = yield* Policy
  const session = yield* policy.session({ promptKey: "p", sample: 0, ids: Int32Array.of(1, 2, 3), seed: "s" })
  return (yield* session.generate({ maxTokens: 8, sampling: greedy, stop: [] })).ids.join(" ")
}).pipe(
  Effect.scoped,
  Effect.provide(PolicyEngine.layer({ model: Assets.shippedModel, device: "tensorflow" })),
  Effect.provide(NodeServices.layer)
)

const both = Effect.all([generated, generated])

process.stdout.write(`${(await Effect.runPromise(both)).join("\n")}\n`)
