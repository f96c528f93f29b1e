// Sockets are counted where they are: below Effect's server.
// @effect-diagnostics nodeBuiltinImport:off
/**
 * A real HTTP server on a free port of the loopback, which counts what it sees.
 */
import { Effect, type Scope } from "effect"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { Socket } from "node:net"

export interface TestServer {
  readonly url: string
  /** Bodies of the requests so far, in order of arrival. */
  readonly bodies: Array<string>
  readonly headers: Array<IncomingMessage["headers"]>
  readonly urls: Array<string>
  /** Connections that are open now. */
  readonly open: () => number
  /** Waits until a condition holds, looking again each millisecond of the (live) clock. */
  readonly until: (condition: () => boolean) => Effect.Effect<void>
}

export type Handler = (body: string, response: ServerResponse, request: IncomingMessage) => void

export const serve = (handler: Handler): Effect.Effect<TestServer, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<{ readonly server: TestServer; readonly close: () => void }>((resume) => {
      const sockets = new Set<Socket>()
      const bodies: Array<string> = []
      const headers: Array<IncomingMessage["headers"]> = []
      const urls: Array<string> = []
      const http = createServer((request, response) => {
        const chunks: Array<Buffer> = []
        request.on("data", (chunk: Buffer) => chunks.push(chunk))
        request.on("end", () => {
          const body = Buffer.concat(chunks).toString("utf8")
          bodies.push(body)
          headers.push(request.headers)
          urls.push(request.url ?? "")
          handler(body, response, request)
        })
        request.on("error", () => {})
      })
      http.on("connection", (socket) => {
        sockets.add(socket)
        socket.on("error", () => {})
        socket.on("close", () => sockets.delete(socket))
      })
      http.listen(0, "127.0.0.1", () => {
        const address = http.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        const until = (condition: () => boolean): Effect.Effect<void> =>
          Effect.suspend(() => condition() ? Effect.void : Effect.andThen(Effect.sleep("1 millis"), until(condition)))
        resume(Effect.succeed({
          server: { url: `http://127.0.0.1:${port}/retrieve`, bodies, headers, urls, open: () => sockets.size, until },
          close: () => {
            for (const socket of sockets) socket.destroy()
            http.close()
          }
        }))
      })
    }),
    ({ close }) => Effect.sync(close)
  ).pipe(Effect.map(({ server }) => server))

export const json = (response: ServerResponse, value: unknown, status = 200): void => {
  response.writeHead(status, { "content-type": "application/json" })
  response.end(JSON.stringify(value))
}
