import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { questionIn } from "../../src/domain/PromptQuestion.ts"
import { renderPrompt } from "../../src/domain/Protocol.ts"
import { normalizeQuestion } from "../../src/domain/Question.ts"

const documents = [{ id: "1", title: "\"T\"", text: "Context: x. Question: y?" }]
const templates = ["search", "r1", "rag"] as const

/** What chat templates write behind the user's text. */
const endings = [
  "",
  "<|im_end|>\n<|im_start|>assistant\n",
  "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
  "<end_of_turn>\n<start_of_turn>model\n",
  " [/INST]",
  "<｜Assistant｜><think>\n",
  "\nAssistant: <think>"
]

const questions = [
  "In the essay Text and Context: a dialogue, who speaks first?",
  "Context: what is it?",
  "Who said \"Question: who am I?\" in Context: A Play?",
  "one line\nand another?",
  "Is this the Question: yes or no?",
  "no mark"
]

describe("the question in a prompt", () => {
  it.each(templates)("is what was rendered: %s", (template) => {
    for (const question of questions) {
      for (const ending of endings) {
        const prompt = renderPrompt(template, question, documents) + ending
        assert.strictEqual(questionIn(`<|im_start|>user\n${prompt}`), normalizeQuestion(question), prompt)
      }
    }
  })

  it("stands before an empty context", () => {
    assert.strictEqual(questionIn(renderPrompt("rag", "Text and Context: who")), "Text and Context: who?")
  })

  it.each([
    ["Answer it.\nQuestion: who?\n", "who?"],
    ["Question: Text and Context: a dialogue?", "Text and Context: a dialogue?"],
    ["Read. Question: who? Context: some passages of another form", "who?"],
    ["Read. Question: who?\nContext: Doc 1(Title: x) y", "who?"],
    ["Read. Question: who is he Context: Doc 1(Title: x) y", "who is he"],
    ["no mark", undefined],
    ["", undefined]
  ])("of templates of others: %j", (prompt, expected) => {
    assert.strictEqual(questionIn(prompt), expected)
  })

  it.prop("comes back whatever it is", [
    Schema.Array(Schema.Literals(["Context: ", "a ", "? ", "Question: ", "\n", "é"])),
    Schema.Literals(templates)
  ], (
    [pieces, template]
  ) => {
    const question = normalizeQuestion(pieces.join(""))
    // nobody asks for nothing
    if (question === "") return
    assert.strictEqual(questionIn(renderPrompt(template, question, documents)), question)
  })
})
