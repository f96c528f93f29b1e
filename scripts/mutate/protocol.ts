/** What a runner process and the one that started it tell each other. */

export interface Selection {
  /** Path of the test file from the root of the copy. */
  readonly file: string
  /** The tests to run; all of the file without it. */
  readonly tests?: ReadonlyArray<string> | undefined
}

export interface Request {
  readonly selections: ReadonlyArray<Selection>
  /** `file:number` of the mutant that is active, "" for none. */
  readonly active: string
  /** Milliseconds that one test may take. */
  readonly testTimeout: number
}

export interface TestOutcome {
  readonly id: string
  readonly file: string
  readonly name: string
  readonly passed: boolean
  readonly milliseconds: number
  readonly error?: string | undefined
}

export interface Answer {
  readonly outcomes: ReadonlyArray<TestOutcome>
  /** Test files that could not be loaded, and errors outside of tests. */
  readonly broken: ReadonlyArray<{ readonly file: string; readonly error: string }>
}
