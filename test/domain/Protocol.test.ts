import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { marks } from "../../src/domain/ChatFamilies.ts"
import * as Protocol from "../../src/domain/Protocol.ts"

const summary = (action: Protocol.Action) =>
  action._tag === "Search"
    ? ["search", action.query]
    : action._tag === "Answer"
    ? ["answer", action.answer]
    : ["none"]

/** The reference's own expression, quadratic as it is. */
const reference = (text: string) => {
  const match = /<(search|answer)>(.*?)<\/\1>/s.exec(text)
  if (match === null) return ["none"]
  const strip = (s: string) =>
    // oxlint-disable-next-line no-control-regex
    s.replace(/^[\s\u001c-\u001f\u0085]+|[\s\u001c-\u001f\u0085]+$/g, "")
  return [match[1] ?? "", strip(match[2] ?? "")]
}

const piece = Schema.Literals([
  "<search>",
  "</search>",
  "<answer>",
  "</answer>",
  "<think>",
  "</think>",
  "<information>",
  " a ",
  "\n",
  "<",
  "search>",
  "é"
])

describe("Protocol", () => {
  // spec §1.4, the table of action parsing
  it.each([
    ["<search> a </answer> b </search>", ["search", "a </answer> b"]],
    ["<answer>x</answer><search>y</search>", ["answer", "x"]],
    ["<search>a<search>b</search>", ["search", "a<search>b"]],
    ["<search> foo <answer>bar</answer>", ["answer", "bar"]],
    ["<search></search>", ["search", ""]],
    ["text <search> and </search> …", ["search", "and"]],
    ["<SEARCH>x</SEARCH>", ["none"]],
    ["<answer> over\nlines </answer>", ["answer", "over\nlines"]],
    ["</answer> <answer>x", ["none"]],
    ["", ["none"]]
  ])("parses %j as %j", (text, expected) => {
    assert.deepStrictEqual(summary(Protocol.parseAction(text)), expected)
  })

  it.prop("parses like the reference's expression", [Schema.Array(piece)], ([pieces]) => {
    const text = pieces.join("")
    const action = Protocol.parseAction(text)
    assert.deepStrictEqual(summary(action), reference(text))
    if (action._tag !== "None") assert.isTrue(/<\/(search|answer)>$/.test(text.slice(0, action.end)))
  }, { arbitrary: { runs: 500 } })

  it("parses a text of a hundred thousand open tags in linear time", () => {
    assert.deepStrictEqual(summary(Protocol.parseAction("<search>".repeat(100_000))), ["none"])
    assert.deepStrictEqual(summary(Protocol.parseAction("<search><answer>".repeat(100_000))), ["none"])
  })

  it("rejects an empty query where the switch says so", () => {
    const options = { emptyQuery: "invalid" } as const
    assert.strictEqual(Protocol.parseAction("<search> \n </search>", options)._tag, "None")
    assert.strictEqual(Protocol.parseAction("<search> q </search>", options)._tag, "Search")
  })

  // spec §1.3 and quirk Q3
  it.each(
    [
      ["<answer>A</answer> <search>q</search> z", "<answer>A</answer> <search>q</search>", "<answer>A</answer>"],
      ["<search>q</search> z", "<search>q</search>", "<search>q</search>"],
      ["a <answer>x</answer> b", "a <answer>x</answer>", "a <answer>x</answer>"],
      ["nothing", "nothing", "nothing"],
      ["</search> then <search>q</search>", "</search>", "</search> then <search>q</search>"]
    ] as const
  )("cuts %j", (text, searchFirst, leftmost) => {
    assert.strictEqual(Protocol.cutGeneration(text, "searchFirst"), searchFirst)
    assert.strictEqual(Protocol.cutGeneration(text, "leftmost"), leftmost)
  })

  it("renders the three templates to the letter", () => {
    assert.strictEqual(
      Protocol.renderPrompt("search", " who wrote Hamlet "),
      "Answer the given question. You must conduct reasoning inside <think> and </think> first every time you get new information. After reasoning, if you find you lack some knowledge, you can call a search engine by <search> query </search> and it will return the top searched results between <information> and </information>. You can search as many times as your want. If you find no further external knowledge needed, you can directly provide the answer inside <answer> and </answer>, without detailed illustrations. For example, <answer> Beijing </answer>. Question: who wrote Hamlet?\n"
    )
    assert.strictEqual(
      Protocol.renderPrompt("r1", "q?"),
      "Answer the given question. You should first have a reasoning process in mind and then provides the answer. Show your reasoning in <think> </think> tags and return the final answer in <answer> </answer> tags, for example <answer> Beijing </answer>. Question: q?\n"
    )
    assert.strictEqual(
      Protocol.renderPrompt("rag", "q", [{ id: "0", title: "\"T\"", text: "body" }]),
      "Answer the given question with some potentially useful context. You should analyze the question carefully, evaluate the given context (which may or may not be useful), and then generate an accurate and well-reasoned response. You should first have a reasoning process in mind and then provides the answer. Show your reasoning in <think> </think> tags and return the final answer in <answer> </answer> tags, for example <answer> Beijing </answer>. Question: q? Context: Doc 1(Title: \"T\") body\n \n"
    )
  })

  it("formats passages as the reference does", () => {
    const documents = [
      { id: "0", title: "\"Paul Walker\"", text: "also had\na car" },
      { id: "1", title: "Plain", text: "text" }
    ]
    assert.strictEqual(
      Protocol.wrapInformation(Protocol.formatDocuments(documents)),
      "\n\n<information>Doc 1(Title: \"Paul Walker\") also had\na car\nDoc 2(Title: Plain) text</information>\n\n"
    )
  })

  it("takes the meaning from tags and chat markup in documents", () => {
    assert.strictEqual(
      Protocol.neutralizeTags("a <answer>x</answer> <|im_end|> <b> <search> </information> 1 < 2"),
      "a [answer]x[/answer] [im_end] <b> [search] [/information] 1 < 2"
    )
  })

  it.each([
    ["<|im_end|>", "[im_end]"],
    ["</s>", "[/s]"],
    ["[INST]", "(INST)"],
    ["[/INST]", "(/INST)"],
    ["<<SYS>>", "[SYS]"],
    ["<｜User｜>", "[User]"],
    ["<｜end▁of▁sentence｜>", "[end▁of▁sentence]"],
    ["<start_of_turn>model", "[start_of_turn]model"],
    ["<|turn>", "[turn]"],
    ["<turn|>", "[turn]"],
    ["[|endofturn|]", "(endofturn)"],
    ["<|START_OF_TURN_TOKEN|>", "[START_OF_TURN_TOKEN]"],
    ["<tool_response>", "[tool_response]"],
    ["<|reserved_special_token_0|>", "[reserved_special_token_0]"],
    ["<|INST|>", "(INST)"],
    ["<<s>s>", "<[s]s>"]
  ])("takes the meaning from %j", (mark, expected) => {
    assert.strictEqual(Protocol.neutralizeTags(`a ${mark} b`), `a ${expected} b`)
  })

  it.each(["a < b > c", "<b>bold</b> [1] [citation needed]", "|x| <= 3 || y", "f<T>(x: T[])"])("leaves %j", (text) => {
    assert.strictEqual(Protocol.neutralizeTags(text), text)
  })

  it.prop(
    "no mark of any family is left, and nothing to do a second time",
    [Schema.Array(Schema.Literals([...marks, "<", ">", "|", "[", "]", "｜", "/", "s", "INST", "<answer>", " "]))],
    ([parts]) => {
      const neutral = Protocol.neutralizeTags(parts.join(""))
      for (const mark of marks) assert.notInclude(neutral, mark)
      assert.strictEqual(Protocol.neutralizeTags(neutral), neutral)
    },
    { arbitrary: { runs: 500 } }
  )
})
