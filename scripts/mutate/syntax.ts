/** What the mutation run needs of TypeScript's syntax: nodes, their children, the name of what encloses them. */
import { type ESTree, parseSync } from "vite"

export type Node = ESTree.Node
export type Expression = ESTree.Expression

const isNode = (value: unknown): value is Node =>
  typeof value === "object" && value !== null && "type" in value && typeof value.type === "string" &&
  "start" in value && "end" in value

/** The nodes directly below, in the order of the text; types are left out: they are no code. */
export const children = (node: Node): ReadonlyArray<Node> => {
  const found: Array<Node> = []
  for (const [key, value] of Object.entries(node)) {
    if (key === "typeAnnotation" || key === "returnType" || key === "typeParameters" || key === "typeArguments") {
      continue
    }
    if (key === "superTypeArguments" || key === "implements" || key === "decorators") continue
    // a shorthand's key and value are one text
    if (key === "key" && node.type === "Property" && node.shorthand) continue
    if (Array.isArray(value)) found.push(...value.filter(isNode))
    else if (isNode(value)) found.push(value)
  }
  return found.sort((a, b) => a.start - b.start)
}

/** Nodes that hold types only: nothing in them runs. */
export const isType = (node: Node): boolean =>
  (node.type.startsWith("TS") &&
    !["TSAsExpression", "TSSatisfiesExpression", "TSNonNullExpression"].includes(node.type)) ||
  node.type === "ImportDeclaration" || node.type === "ExportAllDeclaration" ||
  (node.type === "ExportNamedDeclaration" && node.source !== null)

/** The program of a TypeScript file; its comments and types are kept as positions only. */
export const parse = (file: string, code: string): ESTree.Program => {
  const { errors, program } = parseSync(file, code)
  if (errors.length > 0) throw new Error(`${file} cannot be parsed: ${errors[0]!.message}`)
  return program
}

/** `Effect.ensuring` for the callee of `Effect.ensuring(...)`, `.pipe` for that of `x().pipe(...)`. */
export const calleeName = (node: Node): string => {
  switch (node.type) {
    case "Identifier":
      return node.name
    case "MemberExpression": {
      const member = node.property.type === "Identifier" ? node.property.name : ""
      return node.object.type === "Identifier" || node.object.type === "MemberExpression"
        ? `${calleeName(node.object)}.${member}`
        : `.${member}`
    }
    case "CallExpression":
      return calleeName(node.callee)
    default:
      return ""
  }
}

/** The name that a node gives to what lies in it, if it does. */
export const nameOf = (node: Node): string | undefined => {
  switch (node.type) {
    case "FunctionDeclaration":
    case "ClassDeclaration":
      return node.id?.name
    case "VariableDeclarator":
      return node.id.type === "Identifier" ? node.id.name : undefined
    case "MethodDefinition":
    case "PropertyDefinition":
    case "Property":
      return node.key.type === "Identifier" ? node.key.name : undefined
    default:
      return undefined
  }
}
