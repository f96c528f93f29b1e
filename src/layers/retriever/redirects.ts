/**
 * Redirects of servers that are asked for answers, not for pages.
 *
 * @since 0.2.0
 */
import { Data, Effect, Option, Stream } from "effect"
import {
  FetchHttpClient,
  type HttpClient,
  type HttpClientError,
  HttpClientRequest,
  type HttpClientResponse
} from "effect/http"

/** As many as any server has a reason for: a slash, a prefix, a secure port. */
const most = 5

/**
 * A redirect that is not followed, with its target where it names one.
 *
 * @category errors
 * @since 0.2.0
 */
export class NotFollowed
  extends Data.TaggedError("NotFollowed")<{ readonly status: number; readonly reason: string }>
{}

const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** Whether the server that answered is the one at the target, or the same one by its secure port. */
const sameHost = (from: URL, to: URL): boolean =>
  from.hostname === to.hostname &&
  (from.origin === to.origin ||
    (from.protocol === "http:" && to.protocol === "https:" && `${from.port}${to.port}` === ""))

/** Keys may be in the query. */
const named = (url: URL): string => /^https?:$/.test(url.protocol) ? `${url.origin}${url.pathname}` : url.href

/** Reads what comes with a redirect, so that the connection is free again, or closes it where that is much. */
const discard = (response: HttpClientResponse.HttpClientResponse) =>
  response.stream.pipe(Stream.take(16), Stream.runDrain, Effect.ignore)

/**
 * Sends a request and follows redirects on the same host: 307 and 308 with the same method and body, 301, 302 and 303 of
 * a GET. Credentials go to nobody else; what is not followed fails with its target.
 *
 * @category requests
 * @since 0.2.0
 */
export const execute = Effect.fnUntraced(function*(
  client: HttpClient.HttpClient,
  first: HttpClientRequest.HttpClientRequest
): Effect.fn.Return<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError | NotFollowed> {
  // fetch would follow by itself, to anybody
  const init = Option.getOrUndefined(yield* Effect.serviceOption(FetchHttpClient.RequestInit))
  const manual = { ...init, redirect: "manual" as const }
  let request = first
  for (let followed = 0;; followed++) {
    const response = yield* client.execute(request).pipe(Effect.provideService(FetchHttpClient.RequestInit, manual))
    const { status } = response
    if (!redirects.has(status)) return response
    yield* discard(response)
    const location = response.headers["location"]
    if (location === undefined) return yield* new NotFollowed({ status, reason: "it redirects and does not say where" })
    const from = Option.getOrUndefined(HttpClientRequest.toUrl(request))
    const to = URL.canParse(location, from?.href) ? new URL(location, from) : undefined
    if (from === undefined || to === undefined) {
      return yield* new NotFollowed({ status, reason: `it redirects to ${location}, which is no address` })
    }
    if (status < 307 && request.method !== "GET") {
      const reason = `it redirects to ${named(to)} in a way that loses what is sent; give that address instead`
      return yield* new NotFollowed({ status, reason })
    }
    if (!sameHost(from, to)) {
      const reason = `it redirects to another server, ${named(to)}; give that address instead, if it is to be asked`
      return yield* new NotFollowed({ status, reason })
    }
    if (followed === most) {
      return yield* new NotFollowed({ status, reason: `it redirected ${most} times, and now to ${named(to)}` })
    }
    request = HttpClientRequest.setUrl(request, to)
  }
})
