/**
 * Reads the expressions of templates, with Jinja's precedence.
 *
 * @since 0.2.0
 */
import type * as Ast from "./Ast.ts"
import { TokenCursor } from "./TokenCursor.ts"

type Expression = Ast.Expression

const comparisons: ReadonlyArray<Ast.Comparison> = ["==", "!=", "<", "<=", ">", ">="]

const noArguments: Ast.Arguments = { positional: [], named: [], spread: null, namedSpread: null }

interface TupleOptions {
  /** Whether `a if b else c` may be an item. */
  readonly conditional?: boolean
  /** Names that end it. */
  readonly ends?: ReadonlyArray<string>
  /** Whether it stands in parentheses and may be empty. */
  readonly parentheses?: boolean
}

/**
 * @category parsing
 * @since 0.2.0
 */
export class ExpressionParser extends TokenCursor {
  protected expression(conditional = true): Expression {
    if (!conditional) return this.or()
    let value = this.or()
    while (this.skipName("if")) {
      const test = this.or()
      const otherwise = this.skipName("else") ? this.expression() : null
      value = { _tag: "Conditional", test, value, otherwise }
    }
    return value
  }

  private or(): Expression {
    let left = this.and()
    while (this.skipName("or")) left = { _tag: "Or", left, right: this.and() }
    return left
  }

  private and(): Expression {
    let left = this.not()
    while (this.skipName("and")) left = { _tag: "And", left, right: this.not() }
    return left
  }

  private not(): Expression {
    return this.skipName("not") ? { _tag: "Not", of: this.not() } : this.compare()
  }

  private comparison(): Ast.Comparison | undefined {
    const { text, type } = this.look()
    if (type === "operator") {
      const operator = comparisons.find((sign) => sign === text)
      if (operator !== undefined) this.at++
      return operator
    }
    if (this.skipName("in")) return "in"
    const following = this.look(1)
    if (!this.isName("not") || following.type !== "name" || following.text !== "in") return undefined
    this.at += 2
    return "not in"
  }

  private compare(): Expression {
    const first = this.sum()
    const rest: Array<readonly [Ast.Comparison, Expression]> = []
    for (let operator = this.comparison(); operator !== undefined; operator = this.comparison()) {
      rest.push([operator, this.sum()])
    }
    return rest.length === 0 ? first : { _tag: "Compare", first, rest }
  }

  private arithmetic(operators: ReadonlyArray<Ast.Arithmetic>, operand: () => Expression): Expression {
    let left = operand()
    for (;;) {
      const operator = operators.find((sign) => this.isOperator(sign))
      if (operator === undefined) return left
      this.at++
      left = { _tag: "Arithmetic", operator, left, right: operand() }
    }
  }

  private sum(): Expression {
    return this.arithmetic(["+", "-"], () => this.concat())
  }

  private concat(): Expression {
    const first = this.product()
    const parts = [first]
    while (this.skip("~")) parts.push(this.product())
    return parts.length === 1 ? first : { _tag: "Concat", parts }
  }

  private product(): Expression {
    return this.arithmetic(["*", "/", "//", "%"], () => this.power())
  }

  private power(): Expression {
    return this.arithmetic(["**"], () => this.unary(true))
  }

  private unary(filtered: boolean): Expression {
    const sign = this.isOperator("-") ? "-" : this.isOperator("+") ? "+" : undefined
    if (sign !== undefined) this.at++
    const inner: Expression = sign === undefined ? this.primary() : { _tag: "Sign", sign, of: this.unary(false) }
    const node = this.postfix(inner)
    return filtered ? this.filtered(node) : node
  }

  private constant(value: null | boolean | bigint | number | string): Expression {
    return { _tag: "Constant", value }
  }

  private primary(): Expression {
    const token = this.next()
    switch (token.type) {
      case "name":
        switch (token.text) {
          case "true":
          case "True":
            return this.constant(true)
          case "false":
          case "False":
            return this.constant(false)
          case "none":
          case "None":
            return this.constant(null)
          default:
            return { _tag: "Name", name: token.text }
        }
      case "string": {
        let { text } = token
        while (this.isType("string")) text += this.next().text
        return this.constant(text)
      }
      case "integer":
      case "float":
        return this.constant(token.value)
      case "operator":
        switch (token.text) {
          case "(": {
            const inner = this.tuple({ parentheses: true })
            this.expect(")")
            return inner
          }
          case "[":
            return { _tag: "List", items: this.items("]", () => this.expression()) }
          case "{":
            return {
              _tag: "Dict",
              entries: this.items("}", () => {
                const key = this.expression()
                this.expect(":")
                return [key, this.expression()] as const
              })
            }
        }
    }
    this.at--
    return this.unexpected("an expression")
  }

  /** What stands between commas up to `end`, which is taken. A comma may follow the last. */
  private items<A>(end: string, item: () => A): ReadonlyArray<A> {
    const items: Array<A> = []
    while (!this.skip(end)) {
      if (items.length > 0) {
        this.expect(",")
        if (this.skip(end)) break
      }
      items.push(item())
    }
    return items
  }

  /** An expression, or a tuple where a comma follows. */
  protected tuple({ conditional = true, ends = [], parentheses = false }: TupleOptions = {}): Expression {
    const items: Array<Expression> = []
    let isTuple = false
    for (;;) {
      if (items.length > 0) this.expect(",")
      const ended = this.isType("variableEnd") || this.isType("blockEnd") || this.isOperator(")") ||
        this.isName(...ends)
      if (ended) break
      items.push(this.expression(conditional))
      if (!this.isOperator(",")) break
      isTuple = true
    }
    const [first] = items
    if (!isTuple && first !== undefined) return first
    return isTuple || parentheses ? { _tag: "Tuple", items } : this.unexpected("an expression")
  }

  /** What a value is given to; attributes of namespaces only where `namespaces`. */
  protected target(ends: ReadonlyArray<string>, namespaces = false): Ast.Target {
    const items: Array<Ast.Target> = []
    let isTuple = false
    for (;;) {
      if (items.length > 0) this.expect(",")
      if (this.isType("blockEnd") || this.isOperator(")") || this.isOperator("=") || this.isName(...ends)) break
      items.push(this.oneTarget(namespaces))
      if (!this.isOperator(",")) break
      isTuple = true
    }
    const [first] = items
    return !isTuple && first !== undefined
      ? first
      : isTuple
      ? { _tag: "Targets", items }
      : this.unexpected("a name to give the value to")
  }

  private oneTarget(namespaces: boolean): Ast.Target {
    if (this.skip("(")) {
      const inner = this.target([], namespaces)
      this.expect(")")
      return inner
    }
    const { text: name } = this.expectType("name")
    if (["true", "false", "none", "True", "False", "None"].includes(name)) this.fail(`can't assign to ${name}`)
    return namespaces && this.skip(".")
      ? { _tag: "NamespaceAttribute", namespace: name, name: this.expectType("name").text }
      : { _tag: "Name", name }
  }

  private postfix(node: Expression): Expression {
    let of = node
    for (;;) {
      if (this.skip(".")) {
        const token = this.next()
        if (token.type === "name") of = { _tag: "Attribute", of, name: token.text }
        else if (token.type === "integer") of = { _tag: "Item", of, key: this.constant(token.value) }
        else this.fail("expected a name or a number behind \".\"")
      } else if (this.skip("[")) of = this.subscript(of)
      else if (this.isOperator("(")) of = { _tag: "Call", callee: of, args: this.callArguments() }
      else return of
    }
  }

  private subscript(of: Expression): Expression {
    const keys = this.items("]", () => {
      const start = this.isOperator(":") ? null : this.expression()
      if (start !== null && !this.isOperator(":")) return start
      const part = () => this.isOperator(":") || this.isOperator("]") || this.isOperator(",") ? null : this.expression()
      this.expect(":")
      const stop = part()
      const step = this.skip(":") ? part() : null
      return { start, stop, step }
    })
    const [key] = keys
    if (keys.length !== 1 || key === undefined) {
      return this.fail("a subscript with other than one part is not supported")
    }
    return "_tag" in key ? { _tag: "Item", of, key } : { _tag: "Slice", of, ...key }
  }

  protected callArguments(): Ast.Arguments {
    const positional: Array<Expression> = []
    const named: Array<readonly [string, Expression]> = []
    let spread: Expression | null = null
    let namedSpread: Expression | null = null
    const ensure = (allowed: boolean) => {
      if (!allowed) this.fail("these arguments of a call stand in no order that Jinja knows")
    }
    this.expect("(")
    this.items(")", () => {
      const following = this.look(1)
      if (this.skip("*")) {
        ensure(spread === null && namedSpread === null)
        spread = this.expression()
      } else if (this.skip("**")) {
        ensure(namedSpread === null)
        namedSpread = this.expression()
      } else if (this.isType("name") && following.type === "operator" && following.text === "=") {
        ensure(namedSpread === null)
        const { text } = this.next()
        this.at++
        named.push([text, this.expression()])
      } else {
        ensure(spread === null && namedSpread === null && named.length === 0)
        positional.push(this.expression())
      }
    })
    return { positional, named, spread, namedSpread }
  }

  private dottedName(): string {
    let { text } = this.expectType("name")
    while (this.skip(".")) text += `.${this.expectType("name").text}`
    return text
  }

  /** The filters behind a pipe; the first without one where `inline`. */
  protected filters(inline: boolean): ReadonlyArray<Ast.AppliedFilter> {
    const filter = (): Ast.AppliedFilter => ({
      name: this.dottedName(),
      args: this.isOperator("(") ? this.callArguments() : noArguments
    })
    const filters = inline ? [filter()] : []
    while (this.skip("|")) filters.push(filter())
    return filters
  }

  private filtered(node: Expression): Expression {
    let of = node
    for (;;) {
      if (this.isOperator("|")) { for (const filter of this.filters(false)) of = { _tag: "Filter", of, ...filter } }
      else if (this.skipName("is")) of = this.test(of)
      else if (this.isOperator("(")) of = { _tag: "Call", callee: of, args: this.callArguments() }
      else return of
    }
  }

  private test(of: Expression): Expression {
    const negated = this.skipName("not")
    const name = this.dottedName()
    const args = this.testArguments()
    const test: Expression = { _tag: "Test", of, name, args }
    return negated ? { _tag: "Not", of: test } : test
  }

  private testArguments(): Ast.Arguments {
    if (this.isOperator("(")) return this.callArguments()
    const { type } = this.look()
    const begins = type === "string" || type === "integer" || type === "float" || this.isOperator("[") ||
      this.isOperator("{") || (type === "name" && !this.isName("else", "or", "and"))
    if (!begins) return noArguments
    if (this.isName("is")) this.fail("tests cannot be chained with \"is\"")
    return { ...noArguments, positional: [this.postfix(this.primary())] }
  }
}
