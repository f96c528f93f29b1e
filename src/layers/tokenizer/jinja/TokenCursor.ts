/**
 * A place among the tokens of a template, and what a parser asks of it.
 *
 * @since 0.2.0
 */
import { fail } from "./JinjaError.ts"
import type { Token } from "./Lexer.ts"

/**
 * @category parsing
 * @since 0.2.0
 */
export class TokenCursor {
  private readonly tokens: ReadonlyArray<Token>
  protected at = 0

  constructor(tokens: ReadonlyArray<Token>) {
    this.tokens = tokens
  }

  protected look(ahead = 0): Token {
    const token = this.tokens[Math.min(this.at + ahead, this.tokens.length - 1)]
    return token ?? fail("the template has no end")
  }

  protected get line(): number {
    return this.look().line
  }

  protected fail(what: string): never {
    return fail(`line ${this.line}: ${what}`)
  }

  protected next(): Token {
    const token = this.look()
    this.at++
    return token
  }

  protected isType(type: Token["type"]): boolean {
    return this.look().type === type
  }

  protected isOperator(sign: string): boolean {
    const { text, type } = this.look()
    return type === "operator" && text === sign
  }

  protected isName(...names: ReadonlyArray<string>): boolean {
    const { text, type } = this.look()
    return type === "name" && names.includes(text)
  }

  protected unexpected(wanted: string): never {
    const { text, type } = this.look()
    return this.fail(`unexpected ${type === "end" ? "end of the template" : JSON.stringify(text)}, expected ${wanted}`)
  }

  protected expectType(type: Token["type"]): Token {
    const names: Partial<Record<Token["type"], string>> = { name: "a name", blockEnd: "%}", variableEnd: "}}" }
    return this.isType(type) ? this.next() : this.unexpected(names[type] ?? type)
  }

  protected expect(sign: string): void {
    if (!this.skip(sign)) this.unexpected(`"${sign}"`)
  }

  protected expectName(name: string): void {
    if (!this.skipName(name)) this.unexpected(`"${name}"`)
  }

  protected skip(sign: string): boolean {
    if (!this.isOperator(sign)) return false
    this.at++
    return true
  }

  protected skipName(name: string): boolean {
    if (!this.isName(name)) return false
    this.at++
    return true
  }
}
