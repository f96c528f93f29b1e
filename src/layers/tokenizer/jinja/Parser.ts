/**
 * Reads templates as Jinja 3.1 does, statements first; see `ExpressionParser` for what stands in them.
 *
 * @since 0.2.0
 */
import type * as Ast from "./Ast.ts"
import { ExpressionParser } from "./ExpressionParser.ts"
import { unsupported } from "./JinjaError.ts"
import { tokenize } from "./Lexer.ts"

type Body = ReadonlyArray<Ast.Statement>

const special: ReadonlySet<string> = new Set(["caller", "varargs", "kwargs"])

/** Names of `special` that occur anywhere in a body: whoever uses one is given it. */
const usedIn = (node: unknown, found: Set<string> = new Set()): ReadonlySet<string> => {
  if (Array.isArray(node)) { for (const child of node) usedIn(child, found) }
  else if (typeof node === "object" && node !== null) {
    if (
      "_tag" in node && node._tag === "Name" && "name" in node && typeof node.name === "string" &&
      special.has(node.name)
    ) {
      found.add(node.name)
    }
    for (const child of Object.values(node)) usedIn(child, found)
  }
  return found
}

class StatementParser extends ExpressionParser {
  private loops = 0

  /** Statements up to one of the tags that end them, whose name is taken, or to the template's end. */
  private until(...ends: ReadonlyArray<string>): { readonly body: Body; readonly end: string } {
    const body: Array<Ast.Statement> = []
    for (;;) {
      const token = this.next()
      switch (token.type) {
        case "data":
          body.push({ _tag: "Data", text: token.text })
          break
        case "variableBegin":
          body.push({ _tag: "Output", values: [this.tuple()] })
          this.expectType("variableEnd")
          break
        case "blockBegin": {
          const name = this.expectType("name").text
          if (ends.includes(name)) return { body, end: name }
          body.push(this.statement(name))
          this.expectType("blockEnd")
          break
        }
        case "end":
          if (ends.length === 0) return { body, end: "" }
          return this.fail(`the template ends where {% ${ends.join(" %} or {% ")} %} is expected`)
        default:
          return this.fail(`unexpected ${token.text}`)
      }
    }
  }

  /** The body of a statement whose tag ends here. */
  private body(...ends: ReadonlyArray<string>): { readonly body: Body; readonly end: string } {
    this.skip(":")
    this.expectType("blockEnd")
    return this.until(...ends)
  }

  template(): Body {
    return this.until().body
  }

  private statement(name: string): Ast.Statement {
    switch (name) {
      case "if":
        return this.ifStatement()
      case "for":
        return this.forStatement()
      case "break":
      case "continue":
        if (this.loops === 0) this.fail(`{% ${name} %} stands outside of a loop`)
        return { _tag: name === "break" ? "Break" : "Continue" }
      case "set":
        return this.setStatement()
      case "with":
        return this.withStatement()
      case "macro": {
        const macro = this.expectType("name").text
        return { _tag: "Macro", name: macro, macro: this.callable(this.parameters(), "endmacro") }
      }
      case "call": {
        const parameters = this.isOperator("(") ? this.parameters() : []
        const call = this.expression()
        if (call._tag !== "Call") this.fail("{% call %} needs a call")
        return { _tag: "CallBlock", call, caller: this.callable(parameters, "endcall") }
      }
      case "filter": {
        const filters = this.filters(true)
        return { _tag: "FilterBlock", filters, body: this.apart("endfilter") }
      }
      case "generation":
        return { _tag: "Generation", body: this.apart("endgeneration") }
      case "print": {
        const values: Array<Ast.Expression> = []
        while (!this.isType("blockEnd")) {
          if (values.length > 0) this.expect(",")
          values.push(this.expression())
        }
        return { _tag: "Output", values }
      }
      case "autoescape":
      case "block":
      case "extends":
      case "from":
      case "import":
      case "include":
        return unsupported(`line ${this.line}: {% ${name} %}`)
      default:
        return this.fail(`unknown tag {% ${name} %}`)
    }
  }

  private ifStatement(): Ast.Statement {
    const branches: Array<readonly [Ast.Expression, Body]> = []
    for (;;) {
      const test = this.tuple({ conditional: false })
      const { body, end } = this.body("elif", "else", "endif")
      branches.push([test, body])
      if (end === "endif") return { _tag: "If", branches, otherwise: [] }
      if (end === "else") return { _tag: "If", branches, otherwise: this.body("endif").body }
    }
  }

  private forStatement(): Ast.Statement {
    const target = this.target(["in"])
    this.expectName("in")
    const of = this.tuple({ conditional: false, ends: ["recursive"] })
    const test = this.skipName("if") ? this.expression() : null
    const recursive = this.skipName("recursive")
    this.loops++
    const { body, end } = this.body("endfor", "else")
    this.loops--
    const otherwise = end === "else" ? this.body("endfor").body : []
    return { _tag: "For", target, of, test, recursive, body, otherwise }
  }

  private setStatement(): Ast.Statement {
    const target = this.target([], true)
    if (this.skip("=")) return { _tag: "Set", target, value: this.tuple() }
    const filters = this.filters(false)
    return { _tag: "SetBlock", target, filters, body: this.apart("endset") }
  }

  private withStatement(): Ast.Statement {
    const assignments: Array<readonly [Ast.Target, Ast.Expression]> = []
    while (!this.isType("blockEnd")) {
      if (assignments.length > 0) this.expect(",")
      const target = this.target([])
      this.expect("=")
      assignments.push([target, this.expression()])
    }
    return { _tag: "With", assignments, body: this.body("endwith").body }
  }

  /** A body that Jinja makes a function or a buffer of: no `break` reaches out of it. */
  private apart(end: string): Body {
    const { loops } = this
    this.loops = 0
    const { body } = this.body(end)
    this.loops = loops
    return body
  }

  private callable(parameters: ReadonlyArray<Ast.Parameter>, end: string): Ast.Callable {
    const body = this.apart(end)
    return { parameters, body, uses: usedIn([body, parameters]) }
  }

  private parameters(): ReadonlyArray<Ast.Parameter> {
    const parameters: Array<Ast.Parameter> = []
    this.expect("(")
    while (!this.isOperator(")")) {
      if (parameters.length > 0) this.expect(",")
      const { text: name } = this.expectType("name")
      const fallback = this.skip("=") ? this.expression() : null
      if (fallback === null && parameters.at(-1)?.fallback != null) {
        this.fail("a parameter without a default follows one with a default")
      }
      parameters.push({ name, fallback })
    }
    this.expect(")")
    return parameters
  }
}

/**
 * The statements of a template; what is wrong with it is thrown.
 *
 * @category parsing
 * @since 0.2.0
 */
export const parse = (template: string): Body => new StatementParser(tokenize(template)).template()
