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
