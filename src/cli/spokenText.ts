/**
 * The policy's text painted while it arrives.
 *
 * @since 0.1.0
 */
import { printable, type Style } from "./style.ts"

type Block = "think" | "search" | "answer"

const blocks: ReadonlyArray<Block> = ["think", "search", "answer"]

const tags: ReadonlyMap<string, Block | undefined> = new Map(
  blocks.flatMap((block) => [[`<${block}>`, block], [`</${block}>`, undefined]])
)

/**
 * Paints pieces of text as `trajectoryView` paints a whole one. What may be the beginning of a tag is held back until it
 * is known.
 *
 * @category models
 * @since 0.1.0
 */
export interface SpokenText {
  readonly push: (piece: string) => string
  readonly end: () => string
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (style: Style): SpokenText => {
  let held = ""
  let block: Block | undefined
  const paint = (text: string) => block === undefined ? text : style[block](text)
  const drain = (last: boolean): string => {
    let out = ""
    while (held !== "") {
      const open = held.indexOf("<")
      if (open !== 0) {
        const text = open === -1 ? held : held.slice(0, open)
        out += paint(text)
        held = held.slice(text.length)
        continue
      }
      const tag = [...tags.keys()].find((known) => held.startsWith(known))
      if (tag === undefined && !last && [...tags.keys()].some((known) => known.startsWith(held))) break
      const text = tag ?? "<"
      const after = tag === undefined ? block : tags.get(tag)
      if (after !== undefined) block = after
      out += paint(text)
      block = after
      held = held.slice(text.length)
    }
    return out
  }
  return {
    push: (piece) => {
      held += printable(piece)
      return drain(false)
    },
    end: () => {
      const out = drain(true)
      block = undefined
      return out
    }
  }
}
