/**
 * Judges how well passages answer a query, better and slower than a retriever.
 *
 * @since 0.1.0
 */
import { Context, type Effect } from "effect"
import type { Document } from "../domain/Document.ts"
import type { RetrieverError } from "./Retriever.ts"

/**
 * One query with the passages to judge for it.
 *
 * @category models
 * @since 0.1.0
 */
export interface RerankRequest {
  readonly query: string
  readonly documents: ReadonlyArray<Document>
}

/**
 * Scores passages against a query, higher is better. Each query is paired with its own passages only (the reference
 * pairs it with those of all queries, quirk Q41). The scores are aligned with the passages.
 *
 * @category services
 * @since 0.1.0
 */
export class Reranker extends Context.Service<Reranker, {
  /** What errors and spans call this reranker. */
  readonly name: string
  scores(
    requests: ReadonlyArray<RerankRequest>
  ): Effect.Effect<ReadonlyArray<ReadonlyArray<number>>, RetrieverError>
}>()("effect-search-r1/services/Reranker") {}
