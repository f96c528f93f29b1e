/**
 * The socket that `search-r1 serve` listens on.
 *
 * @since 0.2.0
 */
// Node's server is what Effect's listens with.
// @effect-diagnostics nodeBuiltinImport:off
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Duration, Effect, Layer } from "effect"
import { type CliError } from "effect/cli"
import { type HttpServer } from "effect/http"
import { createServer, type Server } from "node:http"
import { Server as NetServer, type Socket } from "node:net"
import { userError } from "./userError.ts"

/** What listening failed on, in words. */
const listenError = (host: string, port: number) => (error: { readonly cause: unknown }): CliError.UserError => {
  const code = error.cause instanceof Error && "code" in error.cause ? error.cause.code : undefined
  return code === "EADDRINUSE"
    ? userError(`port ${port} of ${host} is taken`, "Choose another with --port, or 0 for any that is free.")
    : code === "EACCES"
    ? userError(`port ${port} needs more rights`, "Choose one above 1023 with --port.")
    : code === "EADDRNOTAVAIL" || code === "ENOTFOUND"
    ? userError(`this machine has no address ${host}`, "Choose another with --host: 127.0.0.1, or 0.0.0.0 for all.")
    : userError(
      `cannot listen on ${host}:${port}: ${error.cause instanceof Error ? error.cause.message : String(error.cause)}`
    )
}

/** What came to nothing before it was a request, by the parser's code. */
const refusals: Readonly<Record<string, readonly [status: number, reason: string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, "Request Timeout"],
  HPE_HEADER_OVERFLOW: [431, "Request Header Fields Too Large"],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, "Payload Too Large"]
}

/**
 * @category models
 * @since 0.2.0
 */
export interface Options {
  readonly host: string
  readonly port: number
  /** Time for a request to arrive, and for its head alone. */
  readonly timeLimit: Duration.Duration
  /** Told of what came to nothing before it was a request: its status and who sent it. */
  readonly onRefused: (status: number, client: string | undefined) => void
}

/**
 * A server of Node that gives slow and broken heads of requests their status, and the layer that listens with it.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (
  { host, onRefused, port, timeLimit }: Options
): { readonly node: Server; readonly layer: Layer.Layer<HttpServer.HttpServer, CliError.UserError> } => {
  const milliseconds = Math.max(1, Duration.toMillis(timeLimit))
  const node = createServer({
    headersTimeout: milliseconds,
    // bodies have their own time, with an answer that says so
    requestTimeout: 2 * milliseconds,
    connectionsCheckingInterval: Math.min(1000, Math.max(50, milliseconds / 4))
  })
  node.on("clientError", (error: Error & { readonly code?: string }, socket: Socket) => {
    if (!socket.writable || error.code === "ECONNRESET") return void socket.destroy(error)
    const [status, reason] = refusals[error.code ?? ""] ?? [400, "Bad Request"]
    onRefused(status, socket.remoteAddress)
    const body = JSON.stringify({ detail: reason })
    socket.end(
      `HTTP/1.1 ${status} ${reason}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    )
  })
  return {
    node,
    layer: NodeHttpServer.layer(() => node, { host, port }).pipe(
      Layer.catch((error) => Layer.effectContext(Effect.fail(listenError(host, port)(error))))
    )
  }
}

/**
 * Stops listening and waits for the connections: each ends with its next answer, or after half a second without a
 * request. Node's own `close` would cut connections whose next request is already under way.
 *
 * @category operations
 * @since 0.2.0
 */
export const closed = (server: Server, limit: Duration.Input): Effect.Effect<void> => {
  const closing = Effect.callback<void>((resume) => {
    NetServer.prototype.close.call(server, () => resume(Effect.void))
  })
  const closeIdle = Effect.sleep("500 millis").pipe(
    Effect.andThen(Effect.sync(() => server.closeIdleConnections())),
    Effect.forever
  )
  return Effect.raceFirst(closing, closeIdle).pipe(
    Effect.timeoutOption(limit),
    // what is not over by now will not be waited for by Node either
    Effect.andThen(Effect.sync(() => server.closeAllConnections()))
  )
}
