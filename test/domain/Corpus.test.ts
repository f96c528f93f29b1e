import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as Corpus from "../../src/domain/Corpus.ts"
import { Document } from "../../src/domain/Document.ts"

describe("Corpus", () => {
  it("reads the reference's form, the form of three fields, and numbers as ids", () => {
    const read = (line: string) => Result.getOrThrow(Corpus.parseLine(line))
    assert.deepStrictEqual(read("{\"id\":\"0\",\"contents\":\"\\\"T\\\"\\nx\\ny\"}"), {
      id: "0",
      title: "\"T\"",
      text: "x\ny"
    })
    assert.deepStrictEqual(read("{\"id\":3,\"title\":\"T\",\"text\":\"x\",\"url\":\"…\"}"), {
      id: "3",
      title: "T",
      text: "x"
    })
    assert.deepStrictEqual(read("{\"id\":\"\",\"contents\":\"\"}"), { id: "", title: "", text: "" })
  })

  it("keeps ids of 64 bits apart", () => {
    const read = (id: string) => Result.getOrThrow(Corpus.parseLine(`{"id":${id},"contents":"T\\nx"}`)).id
    for (const id of ["1161888007138312192", "1161888007138312193", "9007199254740993", "18446744073709551615"]) {
      assert.strictEqual(read(id), id)
    }
  })

  it.each([
    [{ contents: "\"T\"\nx", title: "short", text: "stub" }, { title: "\"T\"", text: "x" }],
    // the same and more exactly: a title may hold a line break
    [{ contents: "a\nb\nx", title: "a\nb", text: "x" }, { title: "a\nb", text: "x" }],
    [{ contents: " ", title: "T", text: "x" }, { title: "T", text: "x" }],
    [{ contents: null, title: "T", text: "x" }, { title: "T", text: "x" }],
    [{ contents: "C\nx", title: null, text: 7 }, { title: "C", text: "x" }]
  ])("reads contents beside title and text, as the reference does: %j", (fields, expected) => {
    assert.deepStrictEqual(Result.getOrThrow(Corpus.fromJson({ id: "1", ...fields })), { id: "1", ...expected })
  })

  it.each([
    ["{\"id\":\"1\",", "no JSON"],
    ["", "no JSON"],
    ["7", "an object"],
    ["[]", "an array"],
    ["null", "null"],
    ["{\"contents\":\"x\"}", "\"id\" must be a string"],
    ["{\"id\":true,\"contents\":\"x\"}", "a boolean"],
    ["{\"id\":\"1\"}", "neither"],
    ["{\"id\":\"1\",\"contents\":[\"x\"]}", "\"contents\" must be a string, got an array"],
    ["{\"id\":\"1\",\"title\":\"T\"}", "got a string and nothing"]
  ])("says what is wrong with %s", (line, reason) => {
    const result = Corpus.parseLine(line)
    assert(Result.isFailure(result))
    assert.include(result.failure, reason)
  })

  it.prop("reads back every document it writes", [Document], ([document]) => {
    const line = Corpus.formatLine(document)
    assert.isFalse(line.includes("\n"))
    assert.deepStrictEqual(Result.getOrThrow(Corpus.parseLine(line)), document)
  })
})
