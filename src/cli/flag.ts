/**
 * Flags, whose help tells their defaults. Commands take `Flag` from here.
 *
 * @since 0.2.0
 */
import { Option } from "effect"
import { Param } from "effect/cli"
import * as Base from "effect/cli/Flag"

export * from "effect/cli/Flag"

/** The flag itself under what was made of it. */
const innermost = (param: Param.Any): Param.Single<Param.ParamKind, unknown> | undefined =>
  Param.isSingle(param)
    ? param
    : "param" in param && Param.isParam(param.param)
    ? innermost(param.param)
    : undefined

const spoken = (value: unknown): string | undefined =>
  typeof value === "string"
    ? value === "" ? "\"\"" : value
    : typeof value === "number"
    ? String(value)
    : value === true
    ? "on"
    : undefined

/**
 * What a flag is where it is not given. Its help says so, behind a description that was given before; a switch that is off
 * needs no word.
 *
 * @category combinators
 * @since 0.2.0
 */
export const withDefault = <const B>(value: B, shown = spoken(value)) => <A>(self: Base.Flag<A>): Base.Flag<A | B> => {
  const description = Option.getOrElse(innermost(self)?.description ?? Option.none<string>(), () => "")
  const told = shown === undefined ? self : Base.withDescription(self, `${description} (default ${shown})`.trimStart())
  return Base.withDefault(told, value)
}
