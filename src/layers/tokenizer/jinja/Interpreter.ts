/**
 * Renders the tree of a template.
 *
 * @since 0.2.0
 */
import { attribute, item, slice } from "./access.ts"
import type * as Ast from "./Ast.ts"
import { applyFilter } from "./filters.ts"
import { type Frames, framesOf } from "./frames.ts"
import { globals, setAttribute } from "./globals.ts"
import { fail, unsupported } from "./JinjaError.ts"
import { loopOver } from "./Loop.ts"
import { arithmetic, compares, signed } from "./operators.ts"
import { toStr } from "./printing.ts"
import { concat, type Str, str } from "./Str.ts"
import { applyTest } from "./tests.ts"
import {
  Callable,
  type CallArguments,
  Dict,
  iterate,
  List,
  Namespace,
  Special,
  truthy,
  typeName,
  Undefined,
  type Value
} from "./Values.ts"

type Body = ReadonlyArray<Ast.Statement>

/** Names with their values; what is not here is looked for further out, unless the body has the name for its own. */
class Scope {
  readonly frames: Frames
  private readonly values = new Map<string, Value>()
  private readonly outer: Scope | null
  private readonly own: ReadonlySet<string> | undefined

  constructor(frames: Frames, outer: Scope | null, body?: Body) {
    this.frames = frames
    this.outer = outer
    this.own = body === undefined ? undefined : frames.get(body)
  }

  inner(body: Body): Scope {
    return new Scope(this.frames, this, body)
  }

  get(name: string): Value | undefined {
    const value = this.values.get(name)
    return value === undefined && this.own?.has(name) !== true ? this.outer?.get(name) : value
  }

  set(name: string, value: Value): void {
    this.values.set(name, value)
  }
}

/** Whether a loop goes on behind a statement. */
type Flow = "next" | "break" | "continue"

const constant = (value: null | boolean | bigint | number | string): Value =>
  typeof value === "string" ? str(value) : value

const call = (callee: Value, args: CallArguments): Value => {
  if (callee instanceof Callable || callee instanceof Special) return callee.call(args)
  return fail(callee instanceof Undefined ? callee.hint : `'${typeName(callee)}' object is not callable`)
}

const argumentsOf = (args: Ast.Arguments, scope: Scope): CallArguments => {
  const positional = args.positional.map((one) => evaluate(one, scope))
  const named = new Map(args.named.map(([name, one]) => [name, evaluate(one, scope)]))
  if (args.spread !== null) positional.push(...iterate(evaluate(args.spread, scope)))
  if (args.namedSpread !== null) {
    const more = evaluate(args.namedSpread, scope)
    if (!(more instanceof Dict)) return fail(`argument after ** must be a mapping, not ${typeName(more)}`)
    for (const [key, value] of more.entries) named.set(toStr(key).text, value)
  }
  return { positional, named }
}

const compared = ({ first, rest }: Extract<Ast.Expression, { _tag: "Compare" }>, scope: Scope): boolean => {
  let left = evaluate(first, scope)
  for (const [operator, next] of rest) {
    const right = evaluate(next, scope)
    if (!compares(operator, left, right)) return false
    left = right
  }
  return true
}

const evaluate = (expression: Ast.Expression, scope: Scope): Value => {
  switch (expression._tag) {
    case "Constant":
      return constant(expression.value)
    case "Name": {
      const value = scope.get(expression.name)
      return value === undefined ? new Undefined(`'${expression.name}' is undefined`) : value
    }
    case "List":
      return new List(expression.items.map((one) => evaluate(one, scope)))
    case "Tuple":
      return new List(expression.items.map((one) => evaluate(one, scope)), true)
    case "Dict":
      return new Dict(expression.entries.map(([key, value]) => [evaluate(key, scope), evaluate(value, scope)]))
    case "Attribute":
      return attribute(evaluate(expression.of, scope), expression.name)
    case "Item":
      return item(evaluate(expression.of, scope), evaluate(expression.key, scope))
    case "Slice": {
      const { of, start, step, stop } = expression
      const part = (one: Ast.Expression | null) => one === null ? null : evaluate(one, scope)
      // Jinja works constants out beforehand, and there finds nothing where it would fail later.
      if (of._tag === "Constant" && typeof of.value !== "string") return new Undefined("a constant has no parts")
      return slice(evaluate(of, scope), part(start), part(stop), part(step))
    }
    case "Call":
      return call(evaluate(expression.callee, scope), argumentsOf(expression.args, scope))
    case "Filter": {
      const { args, name, of } = expression
      // What is marked as safe has its own ways with what it is joined to.
      if (name === "safe") return unsupported("the filter 'safe' within an expression")
      return applyFilter(name, evaluate(of, scope), argumentsOf(args, scope))
    }
    case "Test":
      return applyTest(expression.name, evaluate(expression.of, scope), argumentsOf(expression.args, scope))
    case "Not":
      return !truthy(evaluate(expression.of, scope))
    case "Sign":
      return signed(expression.sign, evaluate(expression.of, scope))
    case "Arithmetic":
      return arithmetic(expression.operator, evaluate(expression.left, scope), evaluate(expression.right, scope))
    case "Concat":
      return concat(expression.parts.map((part) => toStr(evaluate(part, scope))))
    case "Compare":
      return compared(expression, scope)
    case "And":
    case "Or": {
      const left = evaluate(expression.left, scope)
      return truthy(left) === (expression._tag === "And") ? evaluate(expression.right, scope) : left
    }
    case "Conditional": {
      const { otherwise, test, value } = expression
      if (truthy(evaluate(test, scope))) return evaluate(value, scope)
      return otherwise === null
        ? new Undefined("the inline if-expression evaluated to false and no else section was defined.")
        : evaluate(otherwise, scope)
    }
  }
}

const assign = (target: Ast.Target, value: Value, scope: Scope): void => {
  switch (target._tag) {
    case "Name":
      return scope.set(target.name, value)
    case "NamespaceAttribute": {
      const namespace = scope.get(target.namespace)
      return namespace instanceof Namespace
        ? setAttribute(namespace, target.name, value)
        : fail("cannot assign attribute on non-namespace object")
    }
    case "Targets": {
      const values = [...iterate(value)]
      if (values.length !== target.items.length) {
        fail(
          `too ${
            values.length > target.items.length ? "many" : "few"
          } values to unpack (expected ${target.items.length})`
        )
      }
      target.items.forEach((one, index) => assign(one, values[index] ?? null, scope))
    }
  }
}

const filtered = (text: Str, filters: ReadonlyArray<Ast.AppliedFilter>, scope: Scope): Value =>
  filters.reduce<Value>((value, { args, name }) => applyFilter(name, value, argumentsOf(args, scope)), text)

/** A macro, or the body of a call block, as Jinja binds its arguments. */
const callable = (name: string, { body, parameters, uses }: Ast.Callable, defined: Scope): Callable =>
  new Callable(name, ({ named, positional }) => {
    const scope = defined.inner(body)
    const left = new Map(named)
    const explicitCaller = parameters.some((parameter) => parameter.name === "caller")
    const given = parameters.map(({ name }, index) => {
      if (index < positional.length) return positional[index]
      const value = left.get(name)
      left.delete(name)
      return value
    })
    if (uses.has("caller") && !explicitCaller) {
      scope.set("caller", left.get("caller") ?? new Undefined("No caller defined"))
      left.delete("caller")
    }
    const extra = positional.slice(parameters.length)
    if (uses.has("kwargs")) scope.set("kwargs", new Dict(Array.from(left, ([key, value]) => [str(key), value])))
    else if (left.size > 0) fail(`macro '${name}' takes no keyword argument '${[...left.keys()][0]}'`)
    if (uses.has("varargs")) scope.set("varargs", new List(extra, true))
    else if (extra.length > 0) fail(`macro '${name}' takes not more than ${parameters.length} argument(s)`)
    for (const [index, { fallback, name }] of parameters.entries()) {
      const value = given[index]
      if (value !== undefined) scope.set(name, value)
      else if (fallback === null) scope.set(name, new Undefined(`parameter '${name}' was not provided`))
      else scope.set(name, evaluate(fallback, scope))
    }
    return rendered(body, scope)
  })

/** Where a loop chooses its items, Jinja hands on what the names were given and not what held it. */
const repacked = (target: Ast.Target, value: Value): Value =>
  target._tag === "Targets"
    ? new List([...iterate(value)].map((one, index) => repacked(target.items[index] ?? target, one)), true)
    : value

const loop = (
  statement: Extract<Ast.Statement, { _tag: "For" }>,
  items: Value,
  depth: number,
  outer: Scope,
  out: Array<Str>
) => {
  const { body, otherwise, recursive, target, test } = statement
  const within = (value: Value): Scope => {
    const scope = outer.inner(body)
    assign(target, value, scope)
    return scope
  }
  const recurse = (inner: Value, depth: number): Value => {
    const nested: Array<Str> = []
    loop(statement, inner, depth, outer, nested)
    return concat(nested)
  }
  const state = loopOver(
    items,
    test === null ? null : (value) => truthy(evaluate(test, within(value))) ? { item: repacked(target, value) } : null,
    depth,
    recursive ? recurse : null
  )
  // an iteration that "break" or "continue" cuts short counts as none
  let completed = false
  for (let step = state.advance(); step !== undefined; step = state.advance()) {
    const scope = within(step.item)
    scope.set("loop", state)
    const flow = run(body, scope, out)
    if (flow === "next") completed = true
    if (flow === "break") break
  }
  if (!completed) run(otherwise, outer.inner(otherwise), out)
}

/** What is printed: a mark of being safe changes nothing where nothing is escaped. */
const printed = (value: Ast.Expression, scope: Scope): Str =>
  value._tag === "Filter" && value.name === "safe" ? printed(value.of, scope) : toStr(evaluate(value, scope))

const execute = (statement: Ast.Statement, scope: Scope, out: Array<Str>): Flow => {
  switch (statement._tag) {
    case "Data":
      out.push(str(statement.text))
      return "next"
    case "Output":
      for (const value of statement.values) out.push(printed(value, scope))
      return "next"
    case "If": {
      const branch = statement.branches.find(([test]) => truthy(evaluate(test, scope)))
      return run(branch === undefined ? statement.otherwise : branch[1], scope, out)
    }
    case "For":
      loop(statement, evaluate(statement.of, scope), 0, scope, out)
      return "next"
    case "Break":
      return "break"
    case "Continue":
      return "continue"
    case "Set":
      assign(statement.target, evaluate(statement.value, scope), scope)
      return "next"
    case "SetBlock": {
      const { body, filters, target } = statement
      assign(target, filtered(rendered(body, scope.inner(body)), filters, scope), scope)
      return "next"
    }
    case "With": {
      const inner = scope.inner(statement.body)
      for (const [target, value] of statement.assignments) assign(target, evaluate(value, scope), inner)
      return run(statement.body, inner, out)
    }
    case "Macro":
      scope.set(statement.name, callable(statement.name, statement.macro, scope))
      return "next"
    case "CallBlock": {
      const called = statement.call
      if (called._tag !== "Call") return fail("{% call %} needs a call")
      const { named, positional } = argumentsOf(called.args, scope)
      const caller = callable("caller", statement.caller, scope)
      out.push(toStr(call(evaluate(called.callee, scope), { positional, named: new Map(named).set("caller", caller) })))
      return "next"
    }
    case "FilterBlock":
      out.push(toStr(filtered(rendered(statement.body, scope.inner(statement.body)), statement.filters, scope)))
      return "next"
    case "Generation":
      out.push(rendered(statement.body, scope.inner(statement.body)))
      return "next"
  }
}

const run = (body: Body, scope: Scope, out: Array<Str>): Flow => {
  for (const statement of body) {
    const flow = execute(statement, scope, out)
    if (flow !== "next") return flow
  }
  return "next"
}

const rendered = (body: Body, scope: Scope): Str => {
  const out: Array<Str> = []
  run(body, scope, out)
  return concat(out)
}

/**
 * The text of a template with the variables that it is given; what goes wrong is thrown.
 *
 * @category combinators
 * @since 0.2.0
 */
export const render = (body: Body, variables: ReadonlyMap<string, Value>): Str => {
  const frames = framesOf(body)
  const outermost = new Scope(frames, null)
  for (const [name, value] of [...globals, ...variables]) outermost.set(name, value)
  return rendered(body, outermost.inner(body))
}
