/**
 * Lines as Ray's driver shows them: `(TaskRunner pid=12, ip=10.0.0.2) text`, coloured or not, behind a time stamp or a
 * rank or not, with `[repeated 5x across cluster]` behind a line that several processes printed.
 *
 * @since 0.2.0
 */

/**
 * A line without what Ray added. `source` is the process that printed it, "" where the line does not say so, and `folded`
 * tells that it stands for several lines, which Ray left out where they were printed.
 *
 * @category models
 * @since 0.2.0
 */
export interface Line {
  readonly source: string
  readonly text: string
  readonly folded: boolean
}

const color = String.raw`(?:\u001B\[[\d;]*m)*`
const stamp = String.raw`(?:\d{4}-\d\d-\d\d[T ][\d:.,]+(?:Z|[+-]\d\d:?\d\d)?\s+)?(?:\[?\d+\]?: ?)?`
/** A name may be an actor's own, with parentheses in it. */
const name = String.raw`(?:[^()]{0,200}(?:\([^()]{0,200}\)[^()]{0,200})?\s)?`
const process = String.raw`\(${name}(pid=\d+(?:, ip=[^\s()]+)?)\)|\((?:autoscaler|raylet|gcs_server)\b[^()]*\)`
const prefix = new RegExp(`^${color}${stamp}${color}(?:${process})${color} ?`)
const suffix = new RegExp(
  String.raw`${color} ?\[repeated \d+x across cluster\](?: \(Ray deduplicates logs by default\.[^]*\))?${color}\s*$`
)

/** Prefixes may be nested: one process shows what another printed. */
const maxPrefixes = 4

/**
 * Takes apart a line of a log.
 *
 * @category parsing
 * @since 0.2.0
 */
export const parse = (line: string): Line => {
  let text = line
  let source = ""
  for (let count = 0; count < maxPrefixes; count++) {
    const match = prefix.exec(text)
    if (match === null) break
    source = match[1] ?? match[0].trim()
    text = text.slice(match[0].length)
  }
  if (text.endsWith("\r")) text = text.slice(0, -1)
  if (!text.includes("x across cluster]")) return { source, text, folded: false }
  const shown = text.replace(suffix, "")
  return { source, text: shown, folded: shown !== text }
}
