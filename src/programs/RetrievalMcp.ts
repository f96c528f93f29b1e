/**
 * Any retriever as a tool of the Model Context Protocol.
 *
 * @since 0.1.0
 */
import { Effect, Layer, Schema } from "effect"
import { McpProtocol, McpServer, Tool, Toolkit } from "effect/ai"
import { displayTitle } from "../domain/Document.ts"
import { Retriever, RetrieverError } from "../services/Retriever.ts"

const Passage = Schema.Struct({ id: Schema.String, title: Schema.String, text: Schema.String, score: Schema.Finite })

const Search = Tool.make("search", {
  description:
    "Finds the passages of a corpus that are most relevant to a query. Answers with a list, best first; an empty list means that nothing was found.",
  parameters: Schema.Struct({
    query: Schema.String.annotate({ description: "What to search for, in plain words" }),
    topK: Schema.optionalKey(
      Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 50 })).annotate({
        description: "Passages to return; 3 unless given"
      })
    )
  }),
  success: Schema.Struct({ passages: Schema.Array(Passage) }),
  failure: RetrieverError
})
  .annotate(Tool.Title, "Search")
  .annotate(Tool.Readonly, true)
  .annotate(Tool.Destructive, false)
  .annotate(Tool.Idempotent, true)

const SearchToolkit = Toolkit.make(Search)

/**
 * The tool `search`, which answers from the retriever of the environment.
 *
 * @category layers
 * @since 0.1.0
 */
export const registrations = McpServer.toolkit(SearchToolkit).pipe(
  Layer.provide(SearchToolkit.toLayer(Effect.map(Retriever, (retriever) =>
    SearchToolkit.of({
      search: Effect.fn("RetrievalMcp.search")(({ query, topK }) =>
        Effect.map(retriever.search(query, { topK: topK ?? 3 }), (documents) => ({
          passages: documents.map((document) => ({ ...document, title: displayTitle(document) }))
        }))
      )
    }))))
)

/**
 * Serves the tool over standard input and output until the input ends.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerStdio = (options: { readonly version: string }) =>
  McpServer.layerStdio({
    name: "search-r1",
    version: options.version,
    protocols: [McpProtocol.v2025_11_25, McpProtocol.v2025_06_18, McpProtocol.v2025_03_26],
    registrations
  })
