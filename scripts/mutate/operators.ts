/**
 * The mistakes that a mutation run makes: for each node of a program, what else could plausibly have stood there.
 * Words meant for people (three words or more), names of spans, services and schema classes are left as they are.
 */
import { createHash } from "node:crypto"
import { calleeName, children, isType, nameOf, type Node, parse } from "./syntax.ts"

/** How a changed node fits between the others when all mutants of a file are in one text. */
export type Kind = "expression" | "statement" | "step" | "element"

export interface Mutant {
  /** The same as long as the mistake and the function around it stay the same, wherever they move in the file. */
  readonly id: string
  /** Path from the root of the project. */
  readonly file: string
  readonly line: number
  /** The names of what encloses it: `Advantage.estimate`. */
  readonly scope: string
  readonly operator: string
  readonly original: string
  readonly replacement: string
  readonly kind: Kind
  /** The node that is another one in the mutant. */
  readonly node: Node
  /** What is cut from the file, where it is more than the node (a separating comma), and what stands there instead. */
  readonly edit: { readonly start: number; readonly end: number; readonly text: string }
}

interface Change {
  readonly operator: string
  readonly kind: Kind
  readonly text: string
  readonly cut?: { readonly start: number; readonly end: number }
}

const comparisons: ReadonlyMap<string, ReadonlyArray<string>> = new Map([
  ["<", ["<=", ">="]],
  ["<=", ["<", ">"]],
  [">", [">=", "<="]],
  [">=", [">", "<"]],
  ["===", ["!=="]],
  ["!==", ["==="]],
  ["==", ["!="]],
  ["!=", ["=="]]
])

const arithmetic: ReadonlyMap<string, string> = new Map([
  ["+", "-"],
  ["-", "+"],
  ["*", "/"],
  ["/", "*"],
  ["%", "*"],
  ["**", "*"],
  ["&", "|"],
  ["|", "&"],
  ["^", "&"],
  ["<<", ">>"],
  [">>", "<<"],
  [">>>", ">>"]
])

const assignments: ReadonlyMap<string, string> = new Map([
  ["+=", "-="],
  ["-=", "+="],
  ["*=", "/="],
  ["/=", "*="],
  ["|=", "&="],
  ["&=", "|="],
  ["^=", "|="],
  ["<<=", ">>="],
  [">>=", "<<="],
  [">>>=", ">>="],
  ["??=", "="]
])

const swapped: ReadonlyMap<string, string> = new Map([
  ["min", "max"],
  ["max", "min"],
  ["floor", "ceil"],
  ["ceil", "floor"],
  ["some", "every"],
  ["every", "some"],
  ["startsWith", "endsWith"],
  ["endsWith", "startsWith"],
  ["toLowerCase", "toUpperCase"],
  ["toUpperCase", "toLowerCase"],
  ["indexOf", "lastIndexOf"],
  ["lastIndexOf", "indexOf"]
])

/** Methods whose call may have been forgotten. */
const optionalMethods =
  /^(sort|toSorted|reverse|toReversed|filter|slice|subarray|trim|trimStart|trimEnd|toLowerCase|toUpperCase|normalize|withPermits?|pipe)$/

/** Functions around another one whose effect may have been forgotten: `f(x, …)` is `x` without them. */
const wrappers =
  /(^|\.)(scoped|uninterruptible|interruptible|ensuring|retry|repeat|timeout\w*|onExit|onError|onInterrupt|tap\w*|catch\w*|orElse\w*|acquireRelease|when|unless|delay|cached\w*|withPermits?|withConcurrency|fresh|abs|round|trunc|fround|sqrt|structuredClone)$/

/** Calls whose words are for people or name things: their strings stay as they are. */
const named =
  /(^|\.)(fn|fnUntraced|fnUntracedEager|withSpan|Service|Reference|TaggedError|TaggedClass|Class|TaggedStruct|brand|Literals?|tag|annotate\w*|annotations|withDescription|withShortDescription|withExamples?|withAlias|withMetavar|logDebug|logTrace|require|getBuiltinModule)$/

/** Statements that only tell: a run is right without them. */
const telling = /(^|\.)(annotateCurrentSpan|annotateSpans|logDebug|logTrace)$/

const isProse = (text: string): boolean => text.trim().split(/\s+/).length >= 3

const regularExpressions = (pattern: string, flags: string): ReadonlyArray<string> => {
  const found: Array<readonly [string, string]> = []
  if (pattern.startsWith("^")) found.push([pattern.slice(1), flags])
  if (pattern.endsWith("$") && !pattern.endsWith("\\$")) found.push([pattern.slice(0, -1), flags])
  for (const { 0: piece, index } of pattern.matchAll(/\\[dDwWsSbB]|\[\^|[+*?](?=[^?:=!<]|$)/g)) {
    const before = pattern.slice(0, index)
    // an escaped quantifier or bracket is a letter
    if (/(?:^|[^\\])(?:\\\\)*\\$/.test(before)) continue
    const behind = pattern.slice(index + piece.length)
    const letter = piece[1] ?? ""
    const other = piece === "[^"
      ? "["
      : piece === "+"
      ? "*"
      : piece === "*"
      ? "+"
      : piece === "?"
      ? ""
      : `\\${letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase()}`
    found.push([`${before}${other}${behind}`, flags])
  }
  for (const flag of flags.replace("d", "")) found.push([pattern, flags.replace(flag, "")])
  return found.flatMap(([source, flags]) => {
    try {
      return [`/${new RegExp(source, flags).source}/${flags}`]
    } catch {
      return []
    }
  })
}

const numbers = (value: number, raw: string): ReadonlyArray<string> =>
  !Number.isInteger(value)
    ? [`(${raw} * 2)`]
    : value === 0
    ? ["1"]
    : Math.abs(value) > 1e6
    ? [`(${raw} + 1)`]
    : [String(value + 1), String(value - 1)]

/** What a node could be instead. `text` is the program's. */
const changesOf = (node: Node, parents: ReadonlyArray<Node>, text: (node: Node) => string): ReadonlyArray<Change> => {
  const parent = parents.at(-1)
  const expression = (operator: string, ...texts: ReadonlyArray<string>): ReadonlyArray<Change> =>
    texts.map((text) => ({ operator, kind: "expression", text }))
  switch (node.type) {
    case "BinaryExpression": {
      const { left, operator, right } = node
      const words = [left, right].some((side) =>
        side.type === "TemplateLiteral" || (side.type === "Literal" && typeof side.value === "string")
      )
      const other = words ? undefined : arithmetic.get(operator)
      const others = comparisons.get(operator) ?? (other === undefined ? [] : [other])
      return expression(
        comparisons.has(operator) ? "comparison" : "arithmetic",
        ...others.map((other) => `${text(left)} ${other} ${text(right)}`)
      )
    }
    case "LogicalExpression": {
      const { left, operator, right } = node
      return [
        ...expression("side", text(left), text(right)),
        ...(operator === "&&"
          ? expression("logic", `(${text(left)}) || (${text(right)})`)
          : operator === "||"
          ? expression("logic", `(${text(left)}) && (${text(right)})`)
          : [])
      ]
    }
    case "UnaryExpression":
      return node.operator === "!" || node.operator === "-" || node.operator === "~"
        ? node.argument.type === "Literal" && node.operator === "-"
          ? []
          : expression("negation", text(node.argument))
        : []
    case "UpdateExpression":
      return expression(
        "update",
        text(node).replace(/\+\+|--/, (operator) => operator === "++" ? "--" : "++")
      )
    case "AssignmentExpression": {
      const other = assignments.get(node.operator)
      return other === undefined ? [] : expression("assignment", `${text(node.left)} ${other} ${text(node.right)}`)
    }
    case "ConditionalExpression":
      return expression("condition", text(node.consequent), text(node.alternate))
    case "Literal":
      return literals(node, parent, expression)
    case "TemplateLiteral": {
      if (parent?.type === "TaggedTemplateExpression") return []
      if (node.quasis.some((quasi) => isProse(quasi.value.raw))) return []
      return node.quasis
        .filter((quasi) => quasi.value.raw !== "" && /\S/.test(quasi.value.raw))
        .flatMap((quasi) => {
          // a piece's position includes what is around it: "`" or "}" before, "${" or "`" behind
          const [from, to] = [quasi.start + 1 - node.start, quasi.end - (quasi.tail ? 1 : 2) - node.start]
          return expression("string", text(node).slice(0, from) + text(node).slice(to))
        })
    }
    case "ArrayExpression":
      return node.elements.length === 0 || parent?.type === "TSAsExpression" ? [] : expression("list", "[]")
    case "CallExpression":
      return calls(node, text)
    case "ExpressionStatement":
      return "directive" in node && typeof node.directive === "string" || telling.test(statementCallee(node.expression))
        ? []
        : [{ operator: "statement", kind: "statement", text: "" }]
    case "ReturnStatement":
    case "ContinueStatement":
    case "BreakStatement":
    case "ThrowStatement":
      // without the last statement of a switch's case or a function, types or the flow are another thing
      return parent?.type === "IfStatement" ||
          parent?.type === "BlockStatement" && parents.at(-2)?.type === "IfStatement"
        ? []
        : node.type === "BreakStatement" || node.type === "ContinueStatement"
        ? [{ operator: "statement", kind: "statement", text: "" }]
        : []
    default:
      break
  }
  return []
}

const statementCallee = (node: Node): string =>
  node.type === "YieldExpression" && node.argument !== null
    ? statementCallee(node.argument)
    : node.type === "CallExpression"
    ? calleeName(node.callee)
    : ""

const literals = (
  node: Extract<Node, { type: "Literal" }>,
  parent: Node | undefined,
  expression: (operator: string, ...texts: ReadonlyArray<string>) => ReadonlyArray<Change>
): ReadonlyArray<Change> => {
  if (parent === undefined || parent.type === "TSAsExpression" && parent.expression === node) return []
  if (parent.type === "Property" && parent.key === node) return []
  if ("regex" in node) return expression("pattern", ...regularExpressions(node.regex.pattern, node.regex.flags))
  switch (typeof node.value) {
    case "boolean":
      return expression("boolean", String(!node.value))
    case "number":
      return parent.type === "UnaryExpression" && parent.operator === "-"
        ? expression("constant", `(${node.raw} - 1)`)
        : expression("constant", ...numbers(node.value, node.raw ?? String(node.value)))
    case "bigint":
      return expression("constant", `(${node.raw} + 1n)`)
    case "string":
      return isProse(node.value) ? [] : expression("string", node.value === "" ? "\"mutant\"" : "\"\"")
    default:
      return []
  }
}

const calls = (
  node: Extract<Node, { type: "CallExpression" }>,
  text: (node: Node) => string
): ReadonlyArray<Change> => {
  const found: Array<Change> = []
  const { arguments: list, callee } = node
  const optional = node.optional === true
  const [first] = list
  if (callee.type === "MemberExpression" && callee.property.type === "Identifier" && !callee.computed) {
    const { name } = callee.property
    const called = text(node).slice(callee.property.end - node.start)
    const before = text(node).slice(0, callee.property.start - node.start)
    const other = swapped.get(name)
    if (other !== undefined) found.push({ operator: "method", kind: "expression", text: `${before}${other}${called}` })
    if (optionalMethods.test(name) && !optional && !callee.optional && name !== "pipe") {
      if (name.startsWith("withPermit")) {
        if (first !== undefined) found.push({ operator: "call", kind: "expression", text: text(list.at(-1)!) })
      } else if (!/^[A-Z]/.test(calleeName(callee))) {
        found.push({ operator: "call", kind: "expression", text: text(callee.object) })
      }
    }
  }
  if (wrappers.test(calleeName(callee)) && first !== undefined && !/withPermit/.test(calleeName(callee))) {
    const alone = list.length === 1 &&
      !/(^|\.)(scoped|uninterruptible|interruptible|cached|fresh|abs|round|trunc|fround|sqrt|structuredClone)$/
        .test(calleeName(callee))
    if (!alone) found.push({ operator: "call", kind: "expression", text: text(first) })
  }
  return found
}

/** Arguments that may be missing: steps of a pipe, and the last one of any call of several. */
const argumentChanges = (node: Node): ReadonlyArray<readonly [Node, Change]> => {
  if (node.type !== "CallExpression" && node.type !== "NewExpression") return []
  const list = node.arguments
  const name = calleeName(node.callee)
  const without = (index: number): { readonly start: number; readonly end: number } =>
    index > 0
      ? { start: list[index - 1]!.end, end: list[index]!.end }
      : { start: list[0]!.start, end: list[1]?.start ?? list[0]!.end }
  const steps = name === "pipe" || (node.callee.type === "CallExpression" && name.startsWith("Effect.fn"))
    ? list.slice(1)
    : /(^|\.)pipe$/.test(name)
    ? list
    : []
  if (steps.length > 0) {
    return steps
      .filter((step) => step.type !== "SpreadElement" && !calleeName(step).endsWith("withSpan"))
      .map((step) => [step, { operator: "step", kind: "step", text: "", cut: without(list.indexOf(step)) }])
  }
  const last = list.at(-1)
  return list.length < 2 || last === undefined || last.type === "SpreadElement" ||
      last.type === "ArrowFunctionExpression"
    ? []
    : [[last, { operator: "argument", kind: "element", text: "", cut: without(list.length - 1) }]]
}

/** Options that may be missing: the properties of an object that a call is given. */
const optionChanges = (node: Node, parent: Node | undefined): ReadonlyArray<readonly [Node, Change]> => {
  if (node.type !== "ObjectExpression" || parent === undefined) return []
  if (parent.type !== "CallExpression" && parent.type !== "NewExpression" && parent.type !== "SpreadElement") return []
  if ("callee" in parent && /^Schema\.|Error$/.test(calleeName(parent.callee))) return []
  const list = node.properties
  return list.flatMap((property, index): ReadonlyArray<readonly [Node, Change]> => {
    if (property.type === "Property" && (property.method || property.kind !== "init")) return []
    const cut = index > 0
      ? { start: list[index - 1]!.end, end: property.end }
      : { start: property.start, end: list[1]?.start ?? property.end }
    return [[property, { operator: "option", kind: "element", text: "", cut }]]
  })
}

/** The conditions of `if` and loops, decided beforehand. */
const conditionChanges = (node: Node): ReadonlyArray<readonly [Node, Change]> => {
  const decided = (test: Node, ...texts: ReadonlyArray<string>): ReadonlyArray<readonly [Node, Change]> =>
    texts.map((text) => [test, { operator: "condition", kind: "expression", text }])
  if (node.type === "IfStatement") return decided(node.test, "true", "false")
  if (node.type === "WhileStatement" && node.test.type !== "Literal") return decided(node.test, "false")
  if (node.type === "ForStatement" && node.test !== null) return decided(node.test, "false")
  return []
}

/** Nodes that cannot stand in parentheses or be chosen between: what is assigned to, called, or a link of `a?.b.c`. */
const isFixed = (node: Node, parents: ReadonlyArray<Node>): boolean => {
  const parent = parents.at(-1)
  if (parent === undefined) return true
  switch (parent.type) {
    case "CallExpression":
    case "NewExpression":
      return parent.callee === node
    case "MemberExpression":
      return parent.property === node && !parent.computed || inChain(node, parents)
    case "ChainExpression":
      return true
    case "AssignmentExpression":
    case "ForInStatement":
    case "ForOfStatement":
    case "AssignmentPattern":
      return parent.left === node
    case "UpdateExpression":
      return true
    case "UnaryExpression":
      return parent.operator === "delete" || parent.operator === "typeof"
    case "TaggedTemplateExpression":
      return true
    case "ClassDeclaration":
    case "ClassExpression":
      return parent.superClass === node
    case "Property":
    case "PropertyDefinition":
    case "MethodDefinition":
      return parent.key === node && !parent.computed
    default:
      return false
  }
}

/** Whether `node` is on the spine of an optional chain: `a?.b` in `a?.b.c()`. */
const inChain = (node: Node, parents: ReadonlyArray<Node>): boolean => {
  let below = node
  for (let depth = parents.length - 1; depth >= 0; depth--) {
    const parent = parents[depth]!
    if (parent.type === "ChainExpression") return true
    if (parent.type === "MemberExpression" && parent.object === below) below = parent
    else if (parent.type === "CallExpression" && parent.callee === below) below = parent
    else return false
  }
  return false
}

const lineOf = (code: string): (position: number) => number => {
  const starts = [0]
  for (let at = code.indexOf("\n"); at !== -1; at = code.indexOf("\n", at + 1)) starts.push(at + 1)
  return (position) => {
    let [low, high] = [0, starts.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (starts[middle]! <= position) low = middle
      else high = middle - 1
    }
    return low + 1
  }
}

/** All mutants of a file, in the order of its text. */
export const mutantsOf = (file: string, code: string): ReadonlyArray<Mutant> => {
  const text = (node: Node): string => code.slice(node.start, node.end)
  const line = lineOf(code)
  const seen = new Map<string, number>()
  /** Where statements of a block begin that are an expression. */
  const statements = new Set<number>()
  const found: Array<Mutant> = []
  const add = (node: Node, scope: ReadonlyArray<string>, change: Change): void => {
    const { cut, kind, operator } = change
    const original = text(node)
    const replacement = change.text
    if (kind === "expression" && replacement === original) return
    const key = [file, scope.join("."), operator, original, replacement].join("\0")
    const nth = seen.get(key) ?? 0
    seen.set(key, nth + 1)
    found.push({
      id: createHash("sha256").update(`${key}\0${nth}`).digest("hex").slice(0, 12),
      file,
      line: line(node.start),
      scope: scope.join("."),
      operator,
      original,
      replacement,
      kind,
      node,
      edit: {
        ...(cut ?? { start: node.start, end: node.end }),
        // behind a line without a semicolon a parenthesis would call what stands there
        text: kind === "expression"
          ? `${statements.has(node.start) ? ";" : ""}(${replacement})`
          : kind === "statement"
          ? "{}"
          : ""
      }
    })
  }
  const visit = (node: Node, parents: ReadonlyArray<Node>, scope: ReadonlyArray<string>, quiet: boolean): void => {
    if (isType(node)) return
    const block = parents.at(-1)?.type
    if (node.type === "ExpressionStatement" && (block === "BlockStatement" || block === "Program")) {
      statements.add(node.start)
    }
    const name = nameOf(node)
    const inner = name === undefined ? scope : [...scope, name]
    const hushed = quiet || (node.type === "CallExpression" && named.test(calleeName(node.callee)))
    const quietHere = quiet && node.type === "Literal" && typeof node.value === "string"
    if (!isFixed(node, parents) && !quietHere) {
      for (const change of changesOf(node, parents, text)) add(node, scope, change)
    }
    for (
      const [target, change] of [
        ...(hushed && node.type === "CallExpression" && node.callee.type !== "CallExpression"
          ? []
          : argumentChanges(node)),
        ...(quiet ? [] : optionChanges(node, parents.at(-1))),
        ...conditionChanges(node)
      ]
    ) add(target, inner, change)
    for (const child of children(node)) {
      // names of things hush the strings that they are given, not the functions
      const quietChild = hushed &&
        !["ArrowFunctionExpression", "FunctionExpression", "BlockStatement", "ClassBody"].includes(child.type)
      visit(child, [...parents, node], inner, quietChild)
    }
  }
  visit(parse(file, code), [], [], false)
  return found
}
