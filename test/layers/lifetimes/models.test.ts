/** Embedders, rerankers and recordings that need no server. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, type Layer } from "effect"
import { fileURLToPath } from "node:url"
import * as EmbedderHashing from "../../../src/layers/embedder/EmbedderHashing.ts"
import * as EmbedderTransformers from "../../../src/layers/embedder/EmbedderTransformers.ts"
import { transformers } from "../../../src/layers/optional/packages.ts"
import * as PolicyReplay from "../../../src/layers/policy/PolicyReplay.ts"
import * as RerankerTransformers from "../../../src/layers/reranker/RerankerTransformers.ts"
import { Embedder } from "../../../src/services/Embedder.ts"
import { Policy } from "../../../src/services/Policy.ts"
import { Reranker } from "../../../src/services/Reranker.ts"
import { type Lifetime, lifetimes } from "../../contract/lifetimes.ts"
import { absence } from "../../support/optionalPackage.ts"
import { passages } from "../../support/passages.ts"
import { randomScored } from "../../support/samples.ts"

const node = Effect.provide(NodeServices.layer)
const absent = await absence(transformers)
const fixture = (name: string) => fileURLToPath(new URL(`../../fixtures/tiny-bert/${name}`, import.meta.url))

const embedder = (name: string, layer: Layer.Layer<Embedder, unknown, NodeServices.NodeServices>): Lifetime => ({
  name,
  interruptions: [0, 3],
  succeeds: () =>
    Embedder.use(({ passages, queries }) => Effect.all([passages(["a", "b", "c"]), queries(["a"])])).pipe(
      Effect.provide(layer, { local: true }),
      node
    )
})

const inProcess = { absent, slow: true, interruptions: [3, 40] }

lifetimes("Embedder and Reranker in this process", [
  embedder("EmbedderHashing", EmbedderHashing.layer({ dimensions: 16 })),
  {
    ...embedder("EmbedderTransformers", EmbedderTransformers.layer({ model: fixture("embedder"), batchSize: 2 })),
    ...inProcess,
    fails: () =>
      Embedder.use(({ queries }) => queries(["a"])).pipe(
        Effect.provide(EmbedderTransformers.layer({ model: "/no/such/model" })),
        node
      )
  },
  {
    name: "RerankerTransformers",
    ...inProcess,
    succeeds: () =>
      Reranker.use(({ scores }) => scores([{ query: "q", documents: passages.slice(0, 3) }])).pipe(
        Effect.provide(RerankerTransformers.layer({ model: fixture("cross-encoder"), batchSize: 2 }), { local: true }),
        node
      ),
    fails: () =>
      Reranker.use(({ scores }) => scores([])).pipe(
        Effect.provide(RerankerTransformers.layer({ model: "/no/such/model" })),
        node
      )
  }
])

const { trajectory } = randomScored("replayed", "p", 0)

const replayed = (sample: number) =>
  Policy.use((policy) =>
    Effect.scoped(Effect.gen(function*() {
      const [prompt, ...segments] = trajectory.segments
      const session = yield* policy.session({
        ids: prompt?.ids ?? new Int32Array(),
        promptKey: trajectory.promptKey,
        sample,
        seed: "s"
      })
      for (const segment of segments) {
        yield* segment._tag === "Sampled"
          ? session.generate({ maxTokens: 8, sampling: { temperature: 1, topP: 1, topK: 0 }, stop: [] })
          : session.append(segment.ids)
      }
    }))
  ).pipe(Effect.provide(PolicyReplay.layer([trajectory]), { local: true }))

lifetimes("recordings as a Policy", [
  { name: "PolicyReplay", succeeds: () => replayed(trajectory.sample), fails: () => replayed(trajectory.sample + 1) }
])
