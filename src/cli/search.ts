/**
 * `search-r1 search`: asks a retriever and shows the ranked passages.
 *
 * @since 0.1.0
 */
import { Console, Effect, Option, Schema, Stdio, Stream } from "effect"
import { Argument, CliError, Command } from "effect/cli"
import { displayTitle, ScoredDocument } from "../domain/Document.ts"
import * as TextFile from "../layers/textFile.ts"
import { Retriever } from "../services/Retriever.ts"
import * as Flag from "./flag.ts"
import { retrieverFlags, retrieverLayer } from "./retrieverFlags.ts"
import { oneLine, type Style, style as terminalStyle } from "./style.ts"
import * as TextWidth from "./textWidth.ts"
import { userError } from "./userError.ts"

/** The first lines of a text; the last of `limit` lines ends in an ellipsis. */
const wrap = (text: string, width: number, limit: number): ReadonlyArray<string> => {
  const lines = TextWidth.wrap(oneLine(text), width).filter((line) => line !== "")
  return lines.length <= limit
    ? lines
    : lines.slice(0, limit).map((line, index) => index < limit - 1 ? line : `${TextWidth.cut(line, width - 2)} …`)
}

const show = (
  query: string,
  documents: ReadonlyArray<ScoredDocument>,
  options: { readonly style: Style; readonly width: number; readonly lines: number }
): string => {
  const { faint, heading, title } = options.style
  const passages = documents.flatMap((document, index) => [
    `${String(index + 1).padStart(3)}  ${title(oneLine(displayTitle(document)))}  ${
      faint(`score ${document.score.toPrecision(4)} · id ${oneLine(document.id)}`)
    }`,
    ...wrap(document.text, options.width - 5, options.lines).map((line) => `     ${line}`)
  ])
  return [heading(oneLine(query) || "(empty query)"), ...(passages.length === 0 ? ["  no passage found"] : passages)]
    .join("\n")
}

const encodeLine = Schema.encodeEffect(Schema.fromJsonString(Schema.Struct({
  query: Schema.String,
  results: Schema.Array(ScoredDocument)
})))

const lines = (queries: ReadonlyArray<string>): Stream.Stream<string, CliError.UserError, Stdio.Stdio> =>
  Stream.fromArray(queries).pipe(
    Stream.flatMap((query) =>
      query === "-"
        ? Stream.unwrap(Stdio.Stdio.useSync((stdio) => stdio.stdin)).pipe(
          TextFile.decode("standard input"),
          Stream.mapError((error) => userError(error)),
          Stream.splitLines,
          Stream.filter((line) => line.trim() !== "")
        )
        : Stream.succeed(query)
    )
  )

/**
 * @category commands
 * @since 0.1.0
 */
export const search = Command.make("search", {
  queries: Argument.String("query").pipe(
    Argument.withDescription("What to search for; - reads queries from standard input, one a line"),
    Argument.variadic({ min: 1 })
  ),
  topK: Flag.Int("top-k").pipe(
    Flag.withAlias("k"),
    Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1000 }))),
    Flag.withDescription("Passages to show for a query"),
    Flag.withDefault(3)
  ),
  full: Flag.Boolean("full").pipe(
    Flag.withDescription("Show passages whole instead of their first three lines"),
    Flag.withDefault(false)
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription(
      "Print one JSON line a query: {\"query\",\"results\":[{\"id\",\"title\",\"text\",\"score\"}]}"
    ),
    Flag.withDefault(false)
  ),
  ...retrieverFlags
}, (input) =>
  Effect.gen(function*() {
    const retriever = yield* Retriever
    const columns = yield* TextWidth.available
    const layout = {
      style: yield* terminalStyle,
      width: Math.min(120, Math.max(20, columns ?? 100)),
      lines: input.full ? Number.POSITIVE_INFINITY : 3
    }
    yield* lines(input.queries).pipe(
      Stream.mapEffect(
        (query) => Effect.map(retriever.search(query, { topK: input.topK }), (documents) => ({ query, documents })),
        {
          concurrency: 16
        }
      ),
      Stream.runForEach(({ documents, query }) =>
        input.json
          ? Effect.flatMap(encodeLine({ query, results: documents }), Console.log)
          : Console.log(show(query, documents, layout))
      )
    )
  }).pipe(
    Effect.catchIf(
      (error) => !CliError.isCliError(error),
      (error) => Effect.fail(userError(error, hint(error, Option.isSome(input.remote))))
    ),
    Effect.provide(retrieverLayer(input))
  )).pipe(
    Command.withDescription("Search a corpus or a retrieval server and show the ranked passages."),
    Command.withShortDescription("Search a corpus or a server"),
    Command.withExamples([
      { command: "search-r1 search \"Who founded Apple?\" --corpus corpus.jsonl", description: "Search a file" },
      {
        command: "search-r1 search \"Who founded Apple?\" --remote http://127.0.0.1:8000/retrieve --top-k 5",
        description: "Search through a server"
      },
      {
        command: "search-r1 search - --corpus corpus.jsonl.gz --json < queries.txt",
        description: "Search for each line of a file"
      }
    ])
  )

const hint = (error: { readonly _tag: string }, remote: boolean): string | undefined =>
  remote && error._tag === "RetrieverUnavailable"
    ? "Is the server running, and is the address right?"
    : remote && error._tag === "RetrieverUnexpectedShape"
    ? "Does the server speak another dialect? See --dialect."
    : undefined
