/**
 * Which words of a recorded turn its policy wrote, where nothing but the text tells it.
 *
 * @since 0.2.0
 */

/**
 * A run of text with one author.
 *
 * @category models
 * @since 0.2.0
 */
export interface Words {
  readonly text: string
  readonly own: boolean
}

const policyTag = /<(?:think|search|answer)>/g
const search = /<search>[^]*?<\/search>/g
const information = /<information\b[^<>]*>/gi
const informationClose = /<\/information\s*>/gi
const tagBehind = /\s*<([a-z][\w:-]*)\b[^<>]*>/iy

const indexFrom = (text: string, pattern: RegExp, from: number): number => {
  pattern.lastIndex = from
  return pattern.exec(text)?.index ?? text.length
}

const behindSpace = (text: string, from: number): number => text.length - text.slice(from).trimStart().length

/** Behind the last `</information>` of `[from, to)`; `from` where there is none. */
const behindStrayCloses = (text: string, from: number, to: number): number => {
  let end = from
  for (const { 0: close, index } of text.slice(from, to).matchAll(informationClose)) end = from + index + close.length
  return end
}

/**
 * Behind the block that a tag of this name opened in front of `from`: where as many tags close as open, else behind the last
 * that closes, else at the next tag of the policy's or the end of the text.
 */
const blockEnd = (text: string, name: string, from: number): number => {
  let depth = 1
  let last: number | undefined
  for (const { 0: tag, 1: slash, index } of text.slice(from).matchAll(new RegExp(`<(/?)${name}\\b[^<>]*>`, "gi"))) {
    depth += slash === "" ? 1 : -1
    if (slash !== "") last = from + index + tag.length
    if (depth === 0) break
  }
  return last ?? indexFrom(text, policyTag, from)
}

/** Behind what stands between a search and the policy's next words: a block of tags, else everything up to its next tag. */
const behindResult = (text: string, from: number): number => {
  tagBehind.lastIndex = from
  const [opening = "", name] = tagBehind.exec(text) ?? []
  if (name === undefined) return indexFrom(text, policyTag, from)
  return /^(?:think|search|answer)$/i.test(name) ? from : blockEnd(text, name, from + opening.length)
}

/**
 * Splits the text of a turn by who wrote it, in doubt not the policy: words that are left out cost little, a passage that
 * is learned teaches to make up passages. Not the policy's are, with white space around them,
 *
 * - `<information>` blocks, whatever case and attributes their tags have, nested ones and, up to the next tag of the
 *   policy's, unclosed ones included;
 * - what follows a complete search, behind which a policy stops: a block in other tags, or anything up to its next tag;
 * - what stands in front of a stray `</information>` behind such a block: the rest of a passage that holds such a tag.
 *
 * `before` is the observation in front of the turn, if any: behind it stray tags count, too, and white space is its own
 * where it does not end with the protocol's two newlines.
 *
 * @category constructors
 * @since 0.2.0
 */
export const split = (text: string, before?: string | undefined): ReadonlyArray<Words> => {
  const words: Array<Words> = []
  const push = (from: number, to: number, own: boolean) => {
    if (to > from) words.push({ text: text.slice(from, to), own })
  }
  const behindRest = (from: number) => behindStrayCloses(text, from, indexFrom(text, information, from))
  let at = 0
  if (before !== undefined) {
    const rest = behindRest(0)
    at = rest === 0 && before.endsWith("\n\n") ? 0 : behindSpace(text, rest)
  }
  push(0, at, false)
  for (;;) {
    const block = indexFrom(text, information, at)
    const asked = indexFrom(text, search, at)
    if (block === text.length && asked === text.length) break
    const isBlock = block <= asked
    const from = isBlock ? at + text.slice(at, block).trimEnd().length : search.lastIndex
    const end = isBlock ? blockEnd(text, "information", text.indexOf(">", block) + 1) : behindResult(text, from)
    push(at, from, true)
    at = end === from ? from : behindSpace(text, behindRest(end))
    push(from, at, false)
  }
  push(at, text.length, true)
  return words
}
