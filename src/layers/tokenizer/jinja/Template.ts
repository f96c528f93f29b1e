/**
 * Jinja templates as transformers renders them: Jinja 3.1 with `trim_blocks`, `lstrip_blocks`, loop controls, the tag
 * `generation`, and `tojson` as `json.dumps`. Of what is rendered it is known which characters came from foreign text.
 *
 * What Jinja knows and this does not is an error, never another text.
 *
 * @since 0.2.0
 */
import { Result } from "effect"
import type { Spans } from "../../../domain/Spans.ts"
import { checkNames } from "./checkNames.ts"
import { render } from "./Interpreter.ts"
import { JinjaError } from "./JinjaError.ts"
import { parse } from "./Parser.ts"
import { Str, str } from "./Str.ts"
import { Dict, List, type Value } from "./Values.ts"

/**
 * What a template can be given. A string is the template's own text; for other text there is {@link Str}.
 *
 * @category models
 * @since 0.2.0
 */
export type Input = null | boolean | number | string | Str | ReadonlyArray<Input> | { readonly [key: string]: Input }

/**
 * @category models
 * @since 0.2.0
 */
export interface Template {
  readonly render: (variables: Readonly<Record<string, Input>>) => Result.Result<Spans, string>
}

const isList = (input: Input): input is ReadonlyArray<Input> => Array.isArray(input)

const valueOf = (input: Input): Value => {
  if (input === null || typeof input === "boolean" || input instanceof Str) return input
  if (typeof input === "number") return Number.isInteger(input) ? BigInt(input) : input
  if (typeof input === "string") return str(input)
  return isList(input)
    ? new List(input.map(valueOf))
    : new Dict(Object.entries(input).map(([key, value]) => [str(key), valueOf(value)]))
}

/** The reason of what was thrown; a template that calls itself without end fills the stack. */
const reasonOf = (cause: unknown): string =>
  cause instanceof JinjaError
    ? cause.message
    : cause instanceof RangeError
    ? "it calls itself too often"
    : String(cause)

/**
 * Reads a template; the failure says what is wrong with it.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (source: string): Result.Result<Template, string> =>
  Result.try({
    try: () => {
      const body = parse(source)
      checkNames(body)
      return body
    },
    catch: reasonOf
  }).pipe(
    Result.map((body): Template => ({
      render: (variables) =>
        Result.try({
          try: () =>
            render(body, new Map(Object.entries(variables).map(([name, input]) => [name, valueOf(input)]))).spans,
          catch: reasonOf
        })
    }))
  )
