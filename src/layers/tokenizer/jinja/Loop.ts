/**
 * The object that a loop's body calls `loop`, as Jinja's `LoopContext`: it looks ahead one item, and further only for its
 * length.
 *
 * @since 0.2.0
 */
import { item } from "./access.ts"
import { equal } from "./comparing.ts"
import { fail } from "./JinjaError.ts"
import {
  Callable,
  type CallArguments,
  Generator,
  iterate,
  List,
  sizeOf,
  Special,
  Undefined,
  type Value
} from "./Values.ts"

/**
 * Renders the body of a recursive loop over other items.
 *
 * @category models
 * @since 0.2.0
 */
export type Recurse = (items: Value, depth: number) => Value

/**
 * @category models
 * @since 0.2.0
 */
export class Loop extends Special {
  override readonly kind = "LoopContext"
  private readonly depth: number
  private readonly recurse: Recurse | null
  private iterator: Iterator<Value>
  private index = -1
  private size: number | undefined
  private previous: Value | undefined
  private current: Value | undefined
  private following: IteratorResult<Value> | undefined
  private changedTo: Value | undefined

  constructor(items: Value, size: number | undefined, depth: number, recurse: Recurse | null) {
    super()
    this.iterator = iterate(items)[Symbol.iterator]()
    this.size = size
    this.depth = depth
    this.recurse = recurse
  }

  private peek(): IteratorResult<Value> {
    this.following ??= this.iterator.next()
    return this.following
  }

  private get length(): number {
    if (this.size === undefined) {
      const rest = [...iterate(new Generator({ [Symbol.iterator]: () => this.iterator }))]
      this.iterator = rest[Symbol.iterator]()
      const peeked = this.following !== undefined && this.following.done !== true ? 1 : 0
      this.size = rest.length + this.index + 1 + peeked
    }
    return this.size
  }

  /** The next item; `undefined` behind the last. */
  advance(): { readonly item: Value } | undefined {
    const step = this.peek()
    this.following = undefined
    if (step.done === true) return undefined
    this.index++
    this.previous = this.current
    this.current = step.value
    return { item: step.value }
  }

  override attribute(name: string): Value | undefined {
    switch (name) {
      case "index":
        return BigInt(this.index + 1)
      case "index0":
        return BigInt(this.index)
      case "revindex":
        return BigInt(this.length - this.index)
      case "revindex0":
        return BigInt(this.length - this.index - 1)
      case "first":
        return this.index === 0
      case "last":
        return this.peek().done === true
      case "length":
        return BigInt(this.length)
      case "depth":
        return BigInt(this.depth + 1)
      case "depth0":
        return BigInt(this.depth)
      case "previtem":
        return this.index === 0 ? new Undefined("there is no previous item") : this.previous
      case "nextitem": {
        const step = this.peek()
        return step.done === true ? new Undefined("there is no next item") : step.value
      }
      case "cycle":
        return new Callable(
          name,
          ({ positional }) =>
            positional.length === 0
              ? fail("no items for cycling given")
              : item(new List(positional), BigInt(this.index % positional.length))
        )
      case "changed":
        return new Callable(name, ({ positional }) => {
          const values = new List(positional, true)
          const changed = this.changedTo === undefined || !equal(this.changedTo, values)
          this.changedTo = values
          return changed
        })
      default:
        return undefined
    }
  }

  override call({ positional }: CallArguments): Value {
    if (this.recurse === null) return fail("The loop must have the 'recursive' marker to be called recursively.")
    return this.recurse(positional[0] ?? new List([]), this.depth + 1)
  }
}

/**
 * A loop over items of which some are chosen while it runs.
 *
 * @category constructors
 * @since 0.2.0
 */
export const loopOver = (
  items: Value,
  chosen: ((item: Value) => { readonly item: Value } | null) | null,
  depth: number,
  recurse: Recurse | null
): Loop => {
  if (chosen === null) return new Loop(items, sizeOf(items), depth, recurse)
  const some = function*(): Iterable<Value> {
    for (const one of iterate(items)) {
      const found = chosen(one)
      if (found !== null) yield found.item
    }
  }
  return new Loop(new Generator(some()), undefined, depth, recurse)
}
