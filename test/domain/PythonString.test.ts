import { assert, describe, it } from "@effect/vitest"
import { split, strip, whitespaceClass } from "../../src/domain/PythonString.ts"

/** `[c for c in range(0x10000) if chr(c).isspace()]` of Python 3. */
const spaces = new Set([
  0x9,
  0xa,
  0xb,
  0xc,
  0xd,
  0x1c,
  0x1d,
  0x1e,
  0x1f,
  0x20,
  0x85,
  0xa0,
  0x1680,
  0x2000,
  0x2001,
  0x2002,
  0x2003,
  0x2004,
  0x2005,
  0x2006,
  0x2007,
  0x2008,
  0x2009,
  0x200a,
  0x2028,
  0x2029,
  0x202f,
  0x205f,
  0x3000
])

describe("PythonString", () => {
  it("takes for white space exactly what str.isspace does", () => {
    const one = new RegExp(`^[${whitespaceClass}]$`)
    for (let code = 0; code < 0x10000; code++) {
      const sign = String.fromCharCode(code)
      const expected = spaces.has(code)
      if ((strip(sign) === "") !== expected || (split(sign).length === 0) !== expected || one.test(sign) !== expected) {
        assert.fail(`U+${code.toString(16)} should ${expected ? "" : "not "}be white space`)
      }
    }
  })

  it("strips both ends and nothing within", () => {
    assert.strictEqual(strip("\u001c\u0085 a \t b \u3000\n"), "a \t b")
    assert.strictEqual(strip(" a"), "a")
    assert.strictEqual(strip("a "), "a")
    assert.strictEqual(strip("ab"), "ab")
    assert.strictEqual(strip("\uFEFFa"), "\uFEFFa")
    assert.strictEqual(strip(" \t"), "")
    assert.strictEqual(strip(""), "")
  })

  it("splits into the words between runs of white space", () => {
    assert.deepStrictEqual(split("  one \u001f two\n\nthree"), ["one", "two", "three"])
    assert.deepStrictEqual(split("one two "), ["one", "two"])
    assert.deepStrictEqual(split("a b"), ["a", "b"])
    assert.deepStrictEqual(split("\t"), [])
    assert.deepStrictEqual(split(""), [])
  })
})
