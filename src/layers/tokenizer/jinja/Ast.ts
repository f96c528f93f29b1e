/**
 * The syntax of templates as a tree.
 *
 * @since 0.2.0
 */

/**
 * @category models
 * @since 0.2.0
 */
export interface Arguments {
  readonly positional: ReadonlyArray<Expression>
  readonly named: ReadonlyArray<readonly [name: string, value: Expression]>
  readonly spread: Expression | null
  readonly namedSpread: Expression | null
}

/**
 * @category models
 * @since 0.2.0
 */
export type Arithmetic = "+" | "-" | "*" | "/" | "//" | "%" | "**"

/**
 * @category models
 * @since 0.2.0
 */
export type Comparison = "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in"

/**
 * @category models
 * @since 0.2.0
 */
export type Expression =
  | { readonly _tag: "Constant"; readonly value: null | boolean | bigint | number | string }
  | { readonly _tag: "Name"; readonly name: string }
  | { readonly _tag: "List"; readonly items: ReadonlyArray<Expression> }
  | { readonly _tag: "Tuple"; readonly items: ReadonlyArray<Expression> }
  | { readonly _tag: "Dict"; readonly entries: ReadonlyArray<readonly [key: Expression, value: Expression]> }
  | { readonly _tag: "Attribute"; readonly of: Expression; readonly name: string }
  | { readonly _tag: "Item"; readonly of: Expression; readonly key: Expression }
  | {
    readonly _tag: "Slice"
    readonly of: Expression
    readonly start: Expression | null
    readonly stop: Expression | null
    readonly step: Expression | null
  }
  | { readonly _tag: "Call"; readonly callee: Expression; readonly args: Arguments }
  | { readonly _tag: "Filter"; readonly of: Expression; readonly name: string; readonly args: Arguments }
  | { readonly _tag: "Test"; readonly of: Expression; readonly name: string; readonly args: Arguments }
  | { readonly _tag: "Not"; readonly of: Expression }
  | { readonly _tag: "Sign"; readonly sign: "+" | "-"; readonly of: Expression }
  | {
    readonly _tag: "Arithmetic"
    readonly operator: Arithmetic
    readonly left: Expression
    readonly right: Expression
  }
  | { readonly _tag: "Concat"; readonly parts: ReadonlyArray<Expression> }
  | {
    readonly _tag: "Compare"
    readonly first: Expression
    readonly rest: ReadonlyArray<readonly [operator: Comparison, right: Expression]>
  }
  | { readonly _tag: "And" | "Or"; readonly left: Expression; readonly right: Expression }
  | {
    readonly _tag: "Conditional"
    readonly test: Expression
    readonly value: Expression
    readonly otherwise: Expression | null
  }

/**
 * What a value can be given to.
 *
 * @category models
 * @since 0.2.0
 */
export type Target =
  | { readonly _tag: "Name"; readonly name: string }
  | { readonly _tag: "NamespaceAttribute"; readonly namespace: string; readonly name: string }
  | { readonly _tag: "Targets"; readonly items: ReadonlyArray<Target> }

/**
 * @category models
 * @since 0.2.0
 */
export interface Parameter {
  readonly name: string
  readonly fallback: Expression | null
}

/**
 * A filter without what it is applied to.
 *
 * @category models
 * @since 0.2.0
 */
export interface AppliedFilter {
  readonly name: string
  readonly args: Arguments
}

/**
 * @category models
 * @since 0.2.0
 */
export interface Callable {
  readonly parameters: ReadonlyArray<Parameter>
  readonly body: ReadonlyArray<Statement>
  /** Of the names that Jinja gives a body which uses them: `caller`, `varargs`, `kwargs`. */
  readonly uses: ReadonlySet<string>
}

/**
 * @category models
 * @since 0.2.0
 */
export type Statement =
  | { readonly _tag: "Data"; readonly text: string }
  | { readonly _tag: "Output"; readonly values: ReadonlyArray<Expression> }
  | {
    readonly _tag: "If"
    readonly branches: ReadonlyArray<readonly [test: Expression, body: ReadonlyArray<Statement>]>
    readonly otherwise: ReadonlyArray<Statement>
  }
  | {
    readonly _tag: "For"
    readonly target: Target
    readonly of: Expression
    readonly test: Expression | null
    readonly recursive: boolean
    readonly body: ReadonlyArray<Statement>
    readonly otherwise: ReadonlyArray<Statement>
  }
  | { readonly _tag: "Break" }
  | { readonly _tag: "Continue" }
  | { readonly _tag: "Set"; readonly target: Target; readonly value: Expression }
  | {
    readonly _tag: "SetBlock"
    readonly target: Target
    readonly filters: ReadonlyArray<AppliedFilter>
    readonly body: ReadonlyArray<Statement>
  }
  | {
    readonly _tag: "With"
    readonly assignments: ReadonlyArray<readonly [target: Target, value: Expression]>
    readonly body: ReadonlyArray<Statement>
  }
  | { readonly _tag: "Macro"; readonly name: string; readonly macro: Callable }
  | { readonly _tag: "CallBlock"; readonly call: Expression; readonly caller: Callable }
  | {
    readonly _tag: "FilterBlock"
    readonly filters: ReadonlyArray<AppliedFilter>
    readonly body: ReadonlyArray<Statement>
  }
  /** transformers' mark around what the assistant is to learn; it changes no text. */
  | { readonly _tag: "Generation"; readonly body: ReadonlyArray<Statement> }
