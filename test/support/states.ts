/** Comparing saved states: a difference is named by its blob and place, where printing megabytes would take minutes. */
import { assert } from "@effect/vitest"
import type { LearnerState } from "../../src/services/Optimizer.ts"

/** Every blob the same, bit for bit. */
export const assertSameBlobs = (actual: LearnerState["blobs"], expected: LearnerState["blobs"]): void => {
  assert.deepStrictEqual(Object.keys(actual), Object.keys(expected))
  for (const [name, bytes] of Object.entries(expected)) {
    const found = actual[name] ?? new Uint8Array()
    if (Buffer.compare(found, bytes) === 0) continue
    const at = bytes.findIndex((byte, index) => byte !== found[index])
    assert.fail(`${name} differs from byte ${at} on: ${found.length} bytes, ${bytes.length} expected`)
  }
}

export const assertSameState = (actual: LearnerState, expected: LearnerState): void => {
  assert.deepStrictEqual(actual.info, expected.info)
  assertSameBlobs(actual.blobs, expected.blobs)
}
