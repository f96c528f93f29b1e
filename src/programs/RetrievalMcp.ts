/**
 * Any retriever as a tool of the Model Context Protocol.
 *
 * @since 0.1.0
 */
import { Cause, Effect, Exit, Fiber, Layer, Result, Schema, Stdio, Stream } from "effect"
import { McpProtocol, McpServer, Tool, Toolkit } from "effect/ai"
import { displayTitle } from "../domain/Document.ts"
import * as SearchQuery from "../domain/SearchQuery.ts"
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
  success: Schema.Struct({
    passages: Schema.Array(Passage),
    /** What of the query was not searched. */
    note: Schema.optionalKey(Schema.String)
  }),
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
        Effect.map(retriever.search(query, { topK: topK ?? 3 }), (documents) => {
          const leftOut = SearchQuery.leftOut(query, retriever.countTerms)
          return {
            passages: documents.map((document) => ({ ...document, title: displayTitle(document) })),
            ...(leftOut === undefined ? {} : { note: `The end of the query was left out: ${leftOut}` })
          }
        })
      )
    }))))
)

const isJson = (line: string): boolean => Result.isSuccess(Result.try((): unknown => JSON.parse(line)))

const parseError = `${JSON.stringify({ jsonrpc: "2.0", id: null, error: { code: -32700, message: "Parse error" } })}\n`

/** Standard input without the lines that are no JSON, at the first of which Effect's server would stop reading. */
const onlyJson = Layer.effect(
  Stdio.Stdio,
  Effect.map(Stdio.Stdio, (stdio) =>
    Stdio.make({
      ...stdio,
      stdin: stdio.stdin.pipe(
        Stream.decodeText(),
        Stream.splitLines,
        Stream.filter((line) => line.trim() !== ""),
        Stream.filterEffect((line) =>
          isJson(line)
            ? Effect.succeed(true)
            : Effect.as(Stream.run(Stream.make(parseError), stdio.stdout({ endOnDone: false })), false)
        ),
        Stream.map((line) => `${line}\n`),
        Stream.encodeText
      )
    }))
)

/**
 * Serves the tool over standard input and output until the input ends.
 *
 * @category programs
 * @since 0.1.0
 */
export const serveStdio = Effect.fn("RetrievalMcp.serveStdio")(function*<E, R>(
  retriever: Layer.Layer<Retriever, E, R>,
  options: { readonly version: string }
) {
  const server = McpServer.layerStdio({
    name: "search-r1",
    version: options.version,
    protocols: [McpProtocol.v2025_11_25, McpProtocol.v2025_06_18, McpProtocol.v2025_03_26],
    registrations: registrations.pipe(Layer.provide(retriever))
  }).pipe(Layer.provide(onlyJson))
  // the end of the input interrupts the fiber that serves
  const exit = yield* Effect.flatMap(Effect.forkChild(Layer.launch(server)), Fiber.await)
  if (Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)) return yield* Effect.failCause(exit.cause)
})
