/**
 * Runs in the tests of the counting copy: notes which places of the sources a test reaches, one file of notes a process or
 * thread, in the folder `MUTATE_HITS`. Without that folder nothing is noted.
 */
import { appendFileSync } from "node:fs"
import { isMainThread, threadId } from "node:worker_threads"

interface Notes {
  /** For each file of the sources, whether a place was reached under the present label. */
  readonly seen: Array<Uint8Array>
  /** The test, or `file:PATH` for what belongs to all tests of a file. */
  label: string
  readonly note: (file: string, place: number) => void
}

const key = Symbol.for("mutate.notes")
const shared: typeof globalThis & { [key]?: Notes } = globalThis

const start = (): Notes => {
  const folder = process.env["MUTATE_HITS"]
  const path = `${folder}/${process.pid}-${threadId}.tsv`
  return {
    seen: [],
    // a thread may outlive the test that starts it
    label: (isMainThread ? process.env["MUTATE_LABEL"] : process.env["MUTATE_FILE"]) ?? "",
    note(file, place) {
      // written at once: a process may be killed, a thread ended, before anything else of it runs
      if (folder !== undefined) appendFileSync(path, `${this.label}\t${file}\t${place}\n`)
    }
  }
}

const notes = (): Notes => (shared[key] ??= start())

/** The function that a file of the sources calls at each place. */
export const counter = (file: string, places: number): (place: number) => void => {
  const mine = notes()
  const seen = new Uint8Array(places + 1)
  mine.seen.push(seen)
  return (place) => {
    if (seen[place] === 1) return
    seen[place] = 1
    mine.note(file, place)
  }
}

/** From now on what is reached belongs to `label`; processes that the test starts inherit it. */
export const enter = (label: string, file: string): void => {
  const mine = notes()
  mine.label = label
  process.env["MUTATE_LABEL"] = label
  process.env["MUTATE_FILE"] = `file:${file}`
  for (const seen of mine.seen) seen.fill(0)
}
