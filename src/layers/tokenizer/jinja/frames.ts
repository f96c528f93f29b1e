/**
 * Which names are unknown where a body begins, though the template was given them: as Jinja compiles templates, a name that
 * a body sets without having read it is the body's own from its beginning, and bodies within it that read it earlier find
 * nothing (`jinja2.idtracking`).
 *
 * @since 0.2.0
 */
import type * as Ast from "./Ast.ts"

type Body = ReadonlyArray<Ast.Statement>

/**
 * The names of each body that has names of its own.
 *
 * @category models
 * @since 0.2.0
 */
export type Frames = ReadonlyMap<Body, ReadonlySet<string>>

/** Where the value of a name comes from where a body begins. */
type Source = "argument" | "outside" | "enclosing" | "nowhere"

/** Names that an expression reads, in no matter which order. */
const read = (node: unknown, use: (name: string) => void): void => {
  if (Array.isArray(node)) { for (const child of node) read(child, use) }
  else if (typeof node === "object" && node !== null) {
    if ("_tag" in node && node._tag === "Name" && "name" in node && typeof node.name === "string") use(node.name)
    for (const child of Object.values(node)) read(child, use)
  }
}

const targets = (target: Ast.Target, set: (name: string) => void, use: (name: string) => void): void => {
  if (target._tag === "Name") set(target.name)
  else if (target._tag === "NamespaceAttribute") use(target.namespace)
  else for (const one of target.items) targets(one, set, use)
}

class Names {
  readonly sources: Map<string, Source>
  readonly stored: Set<string>
  private readonly enclosing: (name: string) => boolean

  constructor(
    enclosing: (name: string) => boolean,
    sources: Iterable<readonly [string, Source]>,
    stored: Iterable<string>
  ) {
    this.enclosing = enclosing
    this.sources = new Map(sources)
    this.stored = new Set(stored)
  }

  readonly load = (name: string): void => {
    if (!this.sources.has(name) && !this.enclosing(name)) this.sources.set(name, "outside")
  }

  readonly store = (name: string): void => {
    this.stored.add(name)
    if (!this.sources.has(name)) this.sources.set(name, this.enclosing(name) ? "enclosing" : "nowhere")
  }

  visit(body: Body): void {
    for (const statement of body) this.statement(statement)
  }

  private statement(statement: Ast.Statement): void {
    switch (statement._tag) {
      case "Data":
      case "Break":
      case "Continue":
      case "Generation":
        return
      case "Output":
        return read(statement.values, this.load)
      case "If":
        return this.conditional(statement.branches, statement.otherwise)
      case "For":
        return read(statement.of, this.load)
      case "Set":
        read(statement.value, this.load)
        return targets(statement.target, this.store, this.load)
      case "SetBlock":
        return targets(statement.target, this.store, this.load)
      case "With":
        return read(statement.assignments.map(([, value]) => value), this.load)
      case "Macro":
        return this.store(statement.name)
      case "CallBlock":
        return read(statement.call, this.load)
      case "FilterBlock":
        return read(statement.filters.map(({ args }) => args), this.load)
    }
  }

  private conditional(branches: ReadonlyArray<readonly [Ast.Expression, Body]>, otherwise: Body): void {
    const [first, ...more] = branches
    if (first === undefined) return
    read(first[0], this.load)
    const inner = (visit: (names: Names) => void): Names => {
      const names = new Names(this.enclosing, this.sources, this.stored)
      visit(names)
      return names
    }
    const parts = [
      inner((names) => names.visit(first[1])),
      inner((names) => {
        for (const branch of more) names.conditional([branch], [])
      }),
      inner((names) => names.visit(otherwise))
    ]
    const counts = new Map<string, number>()
    for (const { stored } of parts) {
      for (const name of stored) if (!this.stored.has(name)) counts.set(name, (counts.get(name) ?? 0) + 1)
    }
    for (const { sources, stored } of parts) {
      for (const [name, source] of sources) this.sources.set(name, source)
      for (const name of stored) this.stored.add(name)
    }
    for (const [name, count] of counts) {
      if (count < parts.length) this.sources.set(name, this.enclosing(name) ? "enclosing" : "outside")
    }
  }
}

const frame = (
  body: Body,
  parameters: ReadonlyArray<string>,
  enclosing: (name: string) => boolean,
  frames: Map<Body, ReadonlySet<string>>,
  defaults: unknown = []
): void => {
  const names = new Names(enclosing, parameters.map((name) => [name, "argument"]), [])
  read(defaults, names.load)
  names.visit(body)
  const own = new Set<string>()
  for (const [name, source] of names.sources) if (source === "nowhere") own.add(name)
  frames.set(body, own)
  within(body, (name) => names.sources.has(name) || enclosing(name), frames)
}

/** The bodies with names of their own that stand directly in a body. */
const within = (body: Body, known: (name: string) => boolean, frames: Map<Body, ReadonlySet<string>>): void => {
  const namesOf = (target: Ast.Target): ReadonlyArray<string> => {
    const names: Array<string> = []
    targets(target, (name) => names.push(name), () => undefined)
    return names
  }
  const callable = ({ body, parameters, uses }: Ast.Callable) =>
    frame(body, [...parameters.map(({ name }) => name), ...uses], known, frames, parameters)
  for (const statement of body) {
    switch (statement._tag) {
      case "If":
        for (const [, branch] of statement.branches) within(branch, known, frames)
        within(statement.otherwise, known, frames)
        break
      case "For":
        frame(statement.body, [...namesOf(statement.target), "loop"], known, frames)
        frame(statement.otherwise, [], known, frames)
        break
      case "Macro":
        callable(statement.macro)
        break
      case "CallBlock":
        callable(statement.caller)
        break
      case "With":
        frame(statement.body, statement.assignments.flatMap(([target]) => namesOf(target)), known, frames)
        break
      case "SetBlock":
      case "FilterBlock":
      case "Generation":
        frame(statement.body, [], known, frames)
        break
      case "Data":
      case "Output":
      case "Break":
      case "Continue":
      case "Set":
    }
  }
}

/**
 * The names that each body of a template begins without.
 *
 * @category getters
 * @since 0.2.0
 */
export const framesOf = (template: Body): Frames => {
  const frames = new Map<Body, ReadonlySet<string>>()
  frame(template, [], () => false, frames)
  return frames
}
