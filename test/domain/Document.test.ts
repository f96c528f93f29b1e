import { assert, describe, it } from "@effect/vitest"
import * as Document from "../../src/domain/Document.ts"

describe("Document", () => {
  it("joins title and text by a newline, and parts them at the first", () => {
    assert.strictEqual(Document.contents({ id: "1", title: "\"A\"", text: "b" }), "\"A\"\nb")
    assert.deepStrictEqual(Document.fromContents("1", "\"A\"\nb\nc"), { id: "1", title: "\"A\"", text: "b\nc" })
    assert.deepStrictEqual(Document.fromContents("1", "A"), { id: "1", title: "A", text: "" })
    assert.deepStrictEqual(Document.fromContents("1", "\nb"), { id: "1", title: "", text: "b" })
  })

  it.each<readonly [object, Omit<Document.Document, "id"> | undefined]>([
    [{ title: "A", text: "b" }, { title: "A", text: "b" }],
    [{ title: "A", text: "b", contents: "A\nb" }, { title: "A", text: "b" }],
    [{ title: "A\nx", text: "b", contents: "A\nx\nb" }, { title: "A\nx", text: "b" }],
    [{ title: "A", text: "b", contents: " " }, { title: "A", text: "b" }],
    [{ title: "A", text: "b", contents: "C\nd" }, { title: "C", text: "d" }],
    [{ contents: "C\nd" }, { title: "C", text: "d" }],
    [{ title: 3, text: "b", contents: "C\nd" }, { title: "C", text: "d" }],
    [{ title: "A" }, undefined],
    [{ text: "b" }, undefined],
    [{ title: "A", text: null }, undefined],
    [{ contents: 3 }, undefined]
  ])(
    "reads %j",
    (fields, expected) => assert.deepStrictEqual(Document.fromFields("7", fields), expected && { id: "7", ...expected })
  )

  it.each<readonly [boolean, object]>([
    [false, { contents: "A\nb", text: "b", title: "A" }],
    [false, { contents: "\"A\"\nb", text: "b", title: "A" }],
    [false, { contents: "A\nb", text: " b ", title: "\"A\"" }],
    [false, { contents: "\"A\nx\"\nb", text: "b", title: "\"A\nx\"" }],
    [false, { contents: "A\nb", text: "b" }],
    [false, { contents: " ", text: "b", title: "A" }],
    [false, { text: "b", title: "A" }],
    [false, { contents: "A\nb", title: "A" }],
    [true, { contents: "A\nb", text: "c", title: "A" }],
    [true, { contents: "A\nb", text: "b", title: "C" }],
    // the title stands behind the text only
    [true, { contents: "x\nb A", text: "b", title: "A" }],
    // of several places the last counts
    [false, { contents: "b A\nb", text: "b", title: "A" }]
  ])("loses fields: %s for %j", (loses, fields) => assert.strictEqual(Document.losesFields(fields), loses))

  it("shows a title without the quotation marks around it", () => {
    const shown = (title: string) => Document.displayTitle({ id: "1", title, text: "" })
    assert.deepStrictEqual(["\"A\"", "\"A\nb\"", "A", "\"A", "A\"", "\"A\" \"B\"", "x\"A\""].map(shown), [
      "A",
      "A\nb",
      "A",
      "\"A",
      "A\"",
      "A\" \"B",
      "x\"A\""
    ])
  })
})
