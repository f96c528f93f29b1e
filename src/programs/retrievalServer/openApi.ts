/**
 * The description of the retrieval server for tools (OpenAPI 3.1).
 *
 * @since 0.1.0
 */
import type { Limits } from "../../domain/RetrievalWire.ts"

const string = { type: "string" }
const documentSchema = {
  type: "object",
  required: ["id", "contents"],
  properties: { id: string, contents: { ...string, description: "title, line break, text" } }
}
const scoredSchema = {
  type: "object",
  required: ["document", "score"],
  properties: { document: { $ref: "#/components/schemas/Document" }, score: { type: "number" } }
}
const detail = (description: string) => ({
  description,
  content: { "application/json": { schema: { type: "object", required: ["detail"], properties: { detail: {} } } } }
})
const lists = (name: string) => ({
  type: "object",
  required: ["result"],
  properties: { result: { type: "array", items: { type: "array", items: { $ref: `#/components/schemas/${name}` } } } }
})

/**
 * @category constructors
 * @since 0.1.0
 */
export const openApi = (
  { defaultTopK, maxQueries, maxTopK, metrics, version }: Limits & {
    readonly metrics: "token" | "open" | "off"
    readonly version: string
  }
) => ({
  openapi: "3.1.0",
  info: { title: "search-r1 retrieval server", version, license: { name: "Apache-2.0", identifier: "Apache-2.0" } },
  components: {
    securitySchemes: { bearer: { type: "http", scheme: "bearer" } },
    schemas: { Document: documentSchema, ScoredDocument: scoredSchema }
  },
  security: [{}, { bearer: [] }],
  paths: {
    "/retrieve": {
      post: {
        summary: "The best passages for each query, best first",
        requestBody: {
          required: true,
          content: {
            "application/json": {
              schema: {
                type: "object",
                anyOf: [{ required: ["queries"] }, { required: ["query"] }],
                properties: {
                  queries: { type: "array", items: string, maxItems: maxQueries },
                  query: { ...string, description: "SkyRL's form: one query" },
                  topk: { type: ["integer", "null"], minimum: 0, maximum: maxTopK, default: defaultTopK },
                  return_scores: { type: "boolean", default: false }
                },
                description: "Numbers and truths may be strings, as FastAPI takes them: \"3\", \"true\", \"yes\""
              }
            }
          }
        },
        responses: {
          "200": {
            description: "A list for each query, with scores where they were asked for",
            content: { "application/json": { schema: { oneOf: [lists("ScoredDocument"), lists("Document")] } } }
          },
          "400": detail("The body is not UTF-8"),
          "401": detail("The bearer token is missing or wrong"),
          "408": detail("The body did not arrive in time"),
          "413": detail("The body is too large or holds too many queries"),
          "415": detail("The body is packed"),
          "422": detail("The body is no JSON or not of this form"),
          "429": {
            ...detail("Too many queries are waiting, or too many bytes are being read"),
            headers: { "Retry-After": { schema: { type: "integer" } } }
          },
          "502": detail("The engine behind this server answered wrongly"),
          "503": detail("The engine behind this server is not available"),
          "504": detail("The engine behind this server did not answer in time")
        }
      }
    },
    "/rerank": {
      post: {
        summary: "The given passages for each query, best first; only where the server has a reranker",
        requestBody: {
          required: true,
          content: {
            "application/json": {
              schema: {
                type: "object",
                required: ["queries", "documents"],
                properties: {
                  queries: { type: "array", items: string, maxItems: maxQueries },
                  documents: {
                    type: "array",
                    items: { type: "array", items: { $ref: "#/components/schemas/Document" } }
                  },
                  rerank_topk: { type: ["integer", "null"], minimum: 0, maximum: maxTopK, default: defaultTopK },
                  return_scores: { type: "boolean", default: false }
                }
              }
            }
          }
        },
        responses: {
          "200": { description: "A list for each query: \"(Title: …) text\", or {document, score}" },
          "404": detail("The server has no reranker"),
          "422": detail("The body is no JSON or not of this form")
        }
      }
    },
    "/health": {
      get: {
        security: [],
        summary: "Whether the server takes requests",
        responses: { "200": { description: "It does" }, "503": { description: "It is about to end" } }
      }
    },
    ...(metrics === "off" ? {} : {
      "/metrics": {
        get: {
          ...(metrics === "open" ? { security: [] } : {}),
          summary: "Metrics in Prometheus' text format",
          responses: { "200": { description: "Metrics" } }
        }
      }
    })
  }
})
