/**
 * Refuses templates with filters and tests that Jinja does not have, where it refuses them before anything is rendered.
 *
 * @since 0.2.0
 */
import type * as Ast from "./Ast.ts"
import { isFilter } from "./filters.ts"
import { fail } from "./JinjaError.ts"
import { isTest } from "./tests.ts"

/** What stands in a condition may be there for another Jinja and is looked at when it is reached. */
type Where = "anywhere" | "condition"

const filters = (applied: ReadonlyArray<Ast.AppliedFilter>, where: Where): void => {
  for (const { args, name } of applied) {
    if (where === "anywhere" && !isFilter(name)) fail(`there is no filter named '${name}'`)
    callArguments(args, where)
  }
}

const callArguments = ({ named, namedSpread, positional, spread }: Ast.Arguments, where: Where): void => {
  const values = [...positional, ...named.map(([, value]) => value), spread, namedSpread]
  for (const value of values) if (value !== null) expression(value, where)
}

const expression = (node: Ast.Expression, where: Where): void => {
  const each = (...nodes: ReadonlyArray<Ast.Expression | null>) => {
    for (const one of nodes) if (one !== null) expression(one, where)
  }
  switch (node._tag) {
    case "Constant":
    case "Name":
      return
    case "List":
    case "Tuple":
      return each(...node.items)
    case "Dict":
      return each(...node.entries.flat())
    case "Attribute":
    case "Not":
    case "Sign":
      return each(node.of)
    case "Item":
      return each(node.of, node.key)
    case "Slice":
      return each(node.of, node.start, node.stop, node.step)
    case "Call":
      each(node.callee)
      return callArguments(node.args, where)
    case "Filter":
      each(node.of)
      return filters([node], where)
    case "Test":
      if (where === "anywhere" && !isTest(node.name)) fail(`there is no test named '${node.name}'`)
      each(node.of)
      return callArguments(node.args, where)
    case "Arithmetic":
    case "And":
    case "Or":
      return each(node.left, node.right)
    case "Concat":
      return each(...node.parts)
    case "Compare":
      return each(node.first, ...node.rest.map(([, right]) => right))
    case "Conditional":
      for (const one of [node.test, node.value, node.otherwise]) if (one !== null) expression(one, "condition")
  }
}

const callable = ({ body, parameters }: Ast.Callable): void => {
  for (const { fallback } of parameters) if (fallback !== null) expression(fallback, "anywhere")
  checkNames(body)
}

const statement = (node: Ast.Statement, where: Where): void => {
  switch (node._tag) {
    case "Data":
    case "Break":
    case "Continue":
      return
    case "Output":
      return node.values.forEach((value) => expression(value, where))
    case "If":
      for (const [test, body] of node.branches) {
        expression(test, "condition")
        checkNames(body, "condition")
      }
      return checkNames(node.otherwise, "condition")
    case "For":
      expression(node.of, where)
      if (node.test !== null) expression(node.test, "anywhere")
      checkNames(node.body)
      return checkNames(node.otherwise)
    case "Set":
      return expression(node.value, where)
    case "SetBlock":
    case "FilterBlock":
      filters(node.filters, "anywhere")
      return checkNames(node.body)
    case "With":
      for (const [, value] of node.assignments) expression(value, where)
      return checkNames(node.body)
    case "Macro":
      return callable(node.macro)
    case "CallBlock":
      expression(node.call, where)
      return callable(node.caller)
    case "Generation":
      return checkNames(node.body)
  }
}

/**
 * Fails at the first name that Jinja does not know.
 *
 * @category predicates
 * @since 0.2.0
 */
export const checkNames = (body: ReadonlyArray<Ast.Statement>, where: Where = "anywhere"): void => {
  for (const node of body) statement(node, where)
}
