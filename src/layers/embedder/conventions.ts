/**
 * What the families of embedding models expect, told from a model's name.
 *
 * @since 0.1.0
 */
import type { Pooling } from "../../domain/EmbedderSpec.ts"

/**
 * What comes before each text.
 *
 * @category models
 * @since 0.1.0
 */
export interface Prefixes {
  readonly query: string
  readonly passage: string
}

const isE5 = (model: string): boolean => /\be5\b/i.test(model)
const isBge = (model: string): boolean => /\bbge\b/i.test(model)

/**
 * The words that the reference puts before texts: `query: ` and `passage: ` for E5, an instruction before queries for BGE,
 * nothing for others (`retrieval_server.py`, `index_builder.py`).
 *
 * @category getters
 * @since 0.1.0
 */
export const prefixesOf = (model: string): Prefixes =>
  isE5(model)
    ? { query: "query: ", passage: "passage: " }
    : isBge(model)
    ? { query: "Represent this sentence for searching relevant passages: ", passage: "" }
    : { query: "", passage: "" }

/**
 * How word vectors become one: the first word's for BGE, the mean for E5, Contriever, Jina, MiniLM and others
 * (`index_builder.py`; the reference's server always takes the mean, quirk Q44).
 *
 * @category getters
 * @since 0.1.0
 */
export const poolingOf = (model: string): Pooling => isBge(model) ? "cls" : "mean"
