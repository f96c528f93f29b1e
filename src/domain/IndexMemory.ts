/**
 * What the engines that search a corpus in this process take of its memory, estimated from a sample before anything is
 * built.
 *
 * @since 0.2.0
 */
import type { Document } from "./Document.ts"
import { analyze } from "./MultilingualAnalyzer.ts"

/**
 * What a corpus holds.
 *
 * @category models
 * @since 0.2.0
 */
export interface Corpus {
  readonly passages: number
  /** Of ids, titles and texts as strings of V8: one byte a character, two where one of them is beyond Latin-1. */
  readonly stringBytes: number
  /** The same as UTF-8. */
  readonly utf8Bytes: number
  /** Different terms of each passage, summed. */
  readonly postings: number
  /** Different terms of all passages. */
  readonly terms: number
}

/**
 * Bytes that an index takes once it can be searched, and at most while it is made.
 *
 * @category models
 * @since 0.2.0
 */
export interface IndexMemory {
  readonly resident: number
  readonly building: number
}

/**
 * No index at all.
 *
 * @category constants
 * @since 0.2.0
 */
export const none: IndexMemory = { resident: 0, building: 0 }

/** Passages whose terms are counted: the first ones, and then every sixteenth. */
const first = 2048
const mostSampled = 8192

/**
 * Gathers what a corpus holds, passage by passage. Sizes are those of all passages; postings and terms are counted in a
 * sample, and those of the rest follow: as many a passage, and new terms by Heaps' law.
 *
 * @category constructors
 * @since 0.2.0
 */
export class Gatherer {
  private passages = 0
  private stringBytes = 0
  private utf8Bytes = 0
  private sampled = 0
  private postings = 0
  private readonly terms = new Set<string>()
  /** Postings and terms at half the sample, each time it has doubled. */
  private half = { postings: 0, terms: 0 }
  private doubled = { postings: 0, terms: 0 }

  add(document: Document): void {
    for (const text of [document.id, document.title, document.text]) {
      const wide = /[^\0-\xFF]/.test(text)
      this.stringBytes += wide ? 2 * text.length : text.length
      this.utf8Bytes += /^[\0-\x7F]*$/.test(text) ? text.length : utf8Length(text)
    }
    const isSampled = this.sampled < mostSampled && (this.passages < first || this.passages % 16 === 0)
    this.passages += 1
    if (!isSampled) return
    const own = new Set([...analyze(document.title), ...analyze(document.text)])
    this.postings += own.size
    for (const term of own) this.terms.add(term)
    this.sampled += 1
    if ((this.sampled & (this.sampled - 1)) === 0) {
      this.half = this.doubled
      this.doubled = { postings: this.postings, terms: this.terms.size }
    }
  }

  /** What the corpus holds. `passages` is their number where not all of them were added. */
  corpus(passages = this.passages): Corpus {
    const scale = this.passages === 0 ? 0 : passages / this.passages
    const postings = this.sampled === 0 ? 0 : this.postings / this.sampled * passages
    const { half } = this
    const exponent = half.terms > 0 && this.postings > half.postings
      ? Math.min(1, Math.log(this.terms.size / half.terms) / Math.log(this.postings / half.postings))
      : 1
    return {
      passages,
      stringBytes: scale * this.stringBytes,
      utf8Bytes: scale * this.utf8Bytes,
      postings,
      terms: this.postings === 0 ? 0 : this.terms.size * (postings / this.postings) ** exponent
    }
  }
}

const utf8Length = (text: string): number => {
  let bytes = 0
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    // each half of a pair counts for two of its four bytes
    bytes += unit < 0x80 ? 1 : unit < 0x800 || (unit >= 0xD800 && unit <= 0xDFFF) ? 2 : 3
  }
  return bytes
}

/** What the code and the tables of an engine take, whatever it searches. */
const engine = 10e6

/**
 * What `RetrieverLunr` takes: the passages as strings, and per posting a row and a weight. Figures by
 * `npm run -s bench -- indexMemory`, which finds them within a quarter.
 *
 * @category getters
 * @since 0.2.0
 */
export const lunr = ({ passages, postings, stringBytes, terms }: Corpus): IndexMemory => ({
  resident: engine + stringBytes + 200 * passages + 8 * postings + 45 * terms,
  building: 250e6 + 540 * postings
})

/**
 * What passages take that are held as they are.
 *
 * @category getters
 * @since 0.2.0
 */
export const passages = ({ passages, stringBytes }: Corpus): IndexMemory => ({
  resident: stringBytes + 200 * passages,
  building: 0
})

/** Postings that a build holds before it puts them aside. */
const piece = 1 << 24

/** Passages beyond these bytes stay on disk. */
const passagesInMemory = 2 ** 28

/**
 * What `RetrieverBm25` takes: per posting a row and a frequency, and the passages as they are in the file, up to 256 MiB.
 *
 * @category getters
 * @since 0.2.0
 */
export const bm25 = ({ passages, postings, terms, utf8Bytes }: Corpus): IndexMemory => ({
  resident: 3e6 + (utf8Bytes <= passagesInMemory ? utf8Bytes : 0) + 24 * passages + 5 * postings + 50 * terms,
  building: 140e6 + 20 * passages + 25 * Math.min(postings, piece) + 100 * terms
})

/**
 * What an index file takes that is there already: all of it but passages that stay on disk. `sections` are its parts.
 *
 * @category getters
 * @since 0.2.0
 */
export const file = (sections: Readonly<Record<string, { readonly bytes: number }>>): IndexMemory => {
  const bytes = Object.entries(sections).reduce(
    (sum, [name, part]) => name === "documents" && part.bytes > passagesInMemory ? sum : sum + part.bytes,
    3e6
  )
  return { resident: bytes, building: 0 }
}

/**
 * What several take together, made one after the other.
 *
 * @category combinators
 * @since 0.2.0
 */
export const together = (a: IndexMemory, b: IndexMemory): IndexMemory => ({
  resident: a.resident + b.resident,
  building: Math.max(a.building, a.resident + b.building)
})
