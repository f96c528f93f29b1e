/**
 * Cuts text into the pieces that byte pairs are merged in, in one pass over the characters instead of by a regular
 * expression.
 *
 * @since 0.1.0
 */

const other = 1
const letter = 2
const digit = 3
const space = 4
/** `\r` and `\n`, which are white space, too. */
const newline = 5

const letterPattern = /^\p{L}$/u
const digitPattern = /^\p{N}$/u
/** Unicode's White_Space, which JavaScript's `\s` is not: it lacks U+0085 and has U+FEFF. */
const spacePattern = /^\p{White_Space}$/u

const classify = (codePoint: number): number => {
  if (codePoint === 0x0a || codePoint === 0x0d) return newline
  const character = String.fromCodePoint(codePoint)
  if (letterPattern.test(character)) return letter
  if (digitPattern.test(character)) return digit
  return spacePattern.test(character) ? space : other
}

/** Classes of code points, made in blocks of 256 when the first of them is met. */
const blocks: Array<Uint8Array | undefined> = Array.from({ length: 0x1100 }, () => undefined)

const blockOf = (codePoint: number): Uint8Array => {
  const index = codePoint >>> 8
  const block = Uint8Array.from({ length: 256 }, (_, i) => classify((index << 8) | i))
  blocks[index] = block
  return block
}

const classOf = (codePoint: number): number => (blocks[codePoint >>> 8] ?? blockOf(codePoint))[codePoint & 0xff]!

/** Code units of the character at `i`. */
const width = (codePoint: number): number => codePoint > 0xffff ? 2 : 1

const codePointAt = (text: string, i: number): number => {
  const unit = text.charCodeAt(i)
  // Only the first half of a surrogate pair needs the slower call.
  return unit >= 0xd800 && unit < 0xdc00 ? text.codePointAt(i)! : unit
}

/** The end of the run of characters of class `kind` that begins at `i`. */
const runEnd = (text: string, i: number, kind: number): number => {
  let end = i
  while (end < text.length) {
    const codePoint = codePointAt(text, end)
    if (classOf(codePoint) !== kind) break
    end += width(codePoint)
  }
  return end
}

/** Lower case of the letters of contractions. U+017F folds to `s`, as in every engine that ignores case by Unicode. */
const fold = (unit: number): string => unit === 0x17f ? "s" : String.fromCharCode(unit | 0x20)

/** The end of a contraction that begins with the apostrophe at `i`, or `i` where there is none. */
const contractionEnd = (text: string, i: number, letterOf: (unit: number) => string): number => {
  if (i + 1 >= text.length) return i
  const first = letterOf(text.charCodeAt(i + 1))
  if (first === "s" || first === "t" || first === "m" || first === "d") return i + 2
  if (i + 2 >= text.length) return i
  const pair = first + letterOf(text.charCodeAt(i + 2))
  return pair === "re" || pair === "ve" || pair === "ll" ? i + 3 : i
}

const isSpace = (text: string, i: number): boolean => {
  const kind = i < text.length ? classOf(text.charCodeAt(i)) : 0
  return kind === space || kind === newline
}

/** The end of the white space at `i`, without the last one where a word follows: `\s+(?!\S)|\s+`. */
const spaceEnd = (text: string, i: number): number => {
  let end = i
  while (isSpace(text, end)) end += 1
  return end === text.length || end === i + 1 ? end : end - 1
}

/** The end of the white space at `i`, up to its last line break where it has one: `\s*[\r\n]+|\s+(?!\S)|\s+`. */
const lineEnd = (text: string, i: number): number => {
  let behindNewline = -1
  for (let end = i; isSpace(text, end); end++) {
    if (classOf(text.charCodeAt(end)) === newline) behindNewline = end + 1
  }
  return behindNewline === -1 ? spaceEnd(text, i) : behindNewline
}

/** The end of the run of other characters at `i` with the line breaks behind it. */
const otherEnd = (text: string, i: number): number => runEnd(text, runEnd(text, i, other), newline)

const digitsEnd = (text: string, i: number, most: number): number => {
  let end = i
  for (let count = 0; count < most && end < text.length; count++) {
    const codePoint = codePointAt(text, end)
    if (classOf(codePoint) !== digit) break
    end += width(codePoint)
  }
  return end
}

const apostrophe = 0x27
const blank = 0x20

/** The end of the piece that begins at `i`, of Qwen2's and Llama 3's. */
const wordEnd = (text: string, i: number, digits: number): number => {
  const codePoint = codePointAt(text, i)
  if (codePoint === apostrophe) {
    const end = contractionEnd(text, i, fold)
    if (end > i) return end
  }
  const kind = classOf(codePoint)
  if (kind === letter) return runEnd(text, i, letter)
  if (kind === digit) return digitsEnd(text, i, digits)
  const next = i + width(codePoint)
  const nextKind = next < text.length ? classOf(codePointAt(text, next)) : 0
  if (kind !== newline && nextKind === letter) return runEnd(text, next, letter)
  if (kind === other) return otherEnd(text, i)
  return codePoint === blank && nextKind === other ? otherEnd(text, next) : lineEnd(text, i)
}

/** The end of the piece that begins at `i`, of GPT-2's. */
const gpt2End = (text: string, i: number): number => {
  const codePoint = codePointAt(text, i)
  if (codePoint === apostrophe) {
    const end = contractionEnd(text, i, String.fromCharCode)
    if (end > i) return end
  }
  const begin = codePoint === blank && i + 1 < text.length ? i + 1 : i
  const kind = classOf(codePointAt(text, begin))
  return kind === space || kind === newline ? spaceEnd(text, i) : runEnd(text, begin, kind)
}

/**
 * Calls `use` with each piece of a text in order; joined they are the text.
 *
 * @category models
 * @since 0.1.0
 */
export type SplitWords = (text: string, use: (piece: string) => void) => void

const splitBy = (end: (text: string, i: number) => number): SplitWords => (text, use) => {
  let start = 0
  while (start < text.length) {
    const next = end(text, start)
    use(text.slice(start, next))
    start = next
  }
}

/**
 * Cuts as the expression of Qwen2 (`digits` 1) and of Llama 3 and cl100k (`digits` 3) does:
 *
 * ```text
 * (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const splitWords = (digits: number): SplitWords => splitBy((text, i) => wordEnd(text, i, digits))

/**
 * Cuts as the expression of GPT-2 does:
 *
 * ```text
 * 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const splitGpt2: SplitWords = splitBy(gpt2End)
