/** A setup file of the counting copy's test runner: tells which test runs. */
import { afterEach, beforeEach, expect } from "vitest"
import { enter } from "./hits.ts"

const file = expect.getState().testPath ?? ""

enter(`file:${file}`, file)
beforeEach(({ task }) => enter(task.id, file))
afterEach(() => enter(`file:${file}`, file))
