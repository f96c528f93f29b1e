/**
 * Recognises stop strings in a growing text, wherever token boundaries fall.
 *
 * @since 0.1.0
 */

/**
 * Text of one generation.
 *
 * @category models
 * @since 0.1.0
 */
export class StopText {
  readonly #stop: ReadonlyArray<string>
  readonly #longest: number
  #text = ""

  constructor(stop: ReadonlyArray<string>) {
    this.#stop = stop.filter((string) => string !== "")
    this.#longest = Math.max(0, ...this.#stop.map((string) => string.length))
  }

  get text(): string {
    return this.#text
  }

  /** Appends text and returns where the stop string that ends first ends, or -1. */
  push(piece: string): number {
    const from = Math.max(0, this.#text.length - this.#longest + 1)
    this.#text += piece
    let end = -1
    if (piece === "") return end
    for (const string of this.#stop) {
      const at = this.#text.indexOf(string, from)
      if (at !== -1 && (end === -1 || at + string.length < end)) end = at + string.length
    }
    return end
  }
}
