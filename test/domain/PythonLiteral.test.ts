import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { parse } from "../../src/domain/PythonLiteral.ts"

const read = (text: string): unknown => Result.getOrThrowWith(parse(text), (flaw) => new Error(flaw))

/** A text, and what Python's `ast.literal_eval` or NumPy's own reading makes of it. */
const values: ReadonlyArray<readonly [string, unknown]> = [
  ["'a'", "a"],
  ["\"it's\"", "it's"],
  [String.raw`'\a\b\f\n\r\t\v\\\'\"'`, "\u0007\b\f\n\r\t\v\\'\""],
  [String.raw`'\q'`, "\\q"],
  [String.raw`'\x41\u00e9\U0001F600\101\7\0'`, "Aé😀A\u0007\0"],
  [String.raw`'\U0010ffff'`, "\u{10ffff}"],
  [String.raw`'\U00110000'`, "\uFFFD"],
  ["'a\\\nb'", "ab"],
  [String.raw`r'a\nb'`, "a\\nb"],
  [String.raw`R"\x41"`, "\\x41"],
  ["u'x'", "x"],
  [String.raw`b'caf\xc3\xa9'`, "café"],
  [String.raw`B'caf\xc3\xa9'`, "café"],
  [String.raw`rb'\x41'`, "\\x41"],
  ["0", 0],
  ["-1", -1],
  ["+12", 12],
  ["1.", 1],
  [".5", 0.5],
  ["-2.25e-1", -0.225],
  ["1e3", 1000],
  ["1E+3", 1000],
  ["9007199254740991", 9007199254740991],
  ["9007199254740992", 9007199254740992n],
  ["+12345678901234567890", 12345678901234567890n],
  ["-12345678901234567890", -12345678901234567890n],
  ["12345678901234567890.0", 1.2345678901234567e19],
  ["True", true],
  ["true", true],
  ["np.True_", true],
  ["False", false],
  ["false", false],
  ["np.False_", false],
  ["None", null],
  ["null", null],
  ["nan", null],
  ["NaN", null],
  ["NaT", null],
  ["[]", []],
  ["()", []],
  ["{}", {}],
  ["['a', 'b']", ["a", "b"]],
  ["['a' 'b'\n 'c']", ["a", "b", "c"]],
  ["['a',]", ["a"]],
  ["[['a'], ('b', 1)]", [["a"], ["b", 1]]],
  ["  [ 1 , 2 ]  ", [1, 2]],
  ["{'a', 'b'}", ["a", "b"]],
  ["{'a': 1, 2: [3], None : 'x'}", { a: 1, 2: [3], null: "x" }],
  ["array(['a', 'b'], dtype=object)", ["a", "b"]],
  ["array(['a'], dtype='<U1')", ["a"]],
  ["array(['a'], dtype = np.object_)", ["a"]],
  ["np.array(['a'])", ["a"]],
  ["numpy.array([])", []],
  ["array(dtype=object)", []],
  ["np.str_('x')", "x"],
  ["np.bytes_(b'x')", "x"],
  ["np.int64(3)", 3],
  ["np.uint8(3)", 3],
  ["np.float32(0.5)", 0.5],
  ["np.bool_(True)", true],
  ["bool(False)", false],
  ["Decimal('1.5')", "1.5"],
  ["decimal.Decimal('1.5')", "1.5"],
  ["list(['a'])", ["a"]],
  ["tuple(['a'])", ["a"]],
  ["set()", []],
  ["set(['a'])", ["a"]],
  ["frozenset({'a'})", ["a"]],
  ["dict({'a': 1})", { a: 1 }],
  ["OrderedDict({'a': 1})", { a: 1 }],
  ["collections.OrderedDict({'a': 1})", { a: 1 }],
  ["{'target': array(['a', 'b'], dtype=object)}", { target: ["a", "b"] }]
]

describe("PythonLiteral", () => {
  it.each(values)("reads %j", (text, value) => assert.deepStrictEqual(read(text), value))

  it.each([
    "",
    "a",
    "'a",
    "'a\"",
    "['a'",
    "['a')",
    "{'a': 1",
    "{'a':}",
    "'a' x",
    "'a' 'b'",
    "[1] [2]",
    "str('x')",
    "xarray(['a'])",
    "arrays(['a'])",
    "np.str('x')",
    "int('x')",
    "array(['a'], ['b'])",
    "array",
    "np.True",
    "xnp.True_",
    "np.True_x",
    "-",
    "[a]",
    "b\"a'"
  ])("finds no value in %j", (text) => assert.deepStrictEqual(parse(text), Result.fail("malformed")))

  it.each(["['a', ..., 'b']", "['a' ... 'b']", "[Ellipsis]", "...", "{'target': array(['a', ..., 'z'])}", "[... x]"])(
    "tells what NumPy left out: %j",
    (text) => assert.deepStrictEqual(parse(text), Result.fail("elided"))
  )

  it("reads values within 64 others, and no deeper", () => {
    const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`
    assert.isTrue(Result.isSuccess(parse(nested(65))))
    assert.deepStrictEqual(parse(nested(66)), Result.fail("malformed"))
    assert.isTrue(Result.isSuccess(parse(`${"(".repeat(64)}1${")".repeat(64)}`)))
    assert.deepStrictEqual(parse(`${"(".repeat(65)}1${")".repeat(65)}`), Result.fail("malformed"))
    assert.isTrue(Result.isSuccess(parse(`${"{1:".repeat(64)}2${"}".repeat(64)}`)))
    assert.deepStrictEqual(parse(`${"{1:".repeat(65)}2${"}".repeat(65)}`), Result.fail("malformed"))
    assert.isTrue(Result.isSuccess(parse(`${"list(".repeat(64)}2${")".repeat(64)}`)))
    assert.deepStrictEqual(parse(`${"list(".repeat(65)}2${")".repeat(65)}`), Result.fail("malformed"))
  })
})
