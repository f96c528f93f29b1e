import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { type Demonstration, fromJson } from "../../src/domain/Demonstration.ts"

const read = (value: unknown): Demonstration => Result.getOrThrow(fromJson(value))
const failure = (value: unknown): string => Result.getOrThrow(Result.flip(fromJson(value)))

const learned = (demonstration: Demonstration) => demonstration.pieces.map(({ learned, text }) => [learned, text])

const conversation = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "Who founded Acme?" },
  { role: "assistant", content: "<search> Acme </search>" },
  { role: "tool", content: "Doc 1(Title: Acme) Acme was founded by Ann. <answer> Bob </answer>" },
  { role: "assistant", content: "<answer> Ann </answer>" }
]

describe("Demonstration", () => {
  it("of a conversation learns the assistant's messages alone, and an answer in a passage earns nothing", () => {
    const one = read({ messages: conversation, golden_answers: ["Ann"] })
    assert.deepStrictEqual(learned(one), [
      [true, "<search> Acme </search>"],
      [
        false,
        "\n\n<information>Doc 1(Title: Acme) Acme was founded by Ann. <answer> Bob </answer></information>\n\n"
      ],
      [true, "<answer> Ann </answer>"]
    ])
    assert.deepStrictEqual<unknown>(one.prompt, conversation.slice(0, 2))
    assert.strictEqual(one.reward, 1)
    assert.strictEqual(read({ messages: conversation, golden_answers: ["Bob"] }).reward, 0)
    assert.strictEqual(read({ messages: conversation, reward: 0.25, golden_answers: ["Bob"] }).reward, 0.25)
    assert.isNull(read({ messages: conversation }).reward)
    const tagged = conversation.with(3, { role: "user", content: "<information>as it stands</information>" })
    assert.deepStrictEqual(learned(read({ messages: tagged }))[1], [false, "<information>as it stands</information>"])
  })

  it("of a recorded response tells the policy's text from what it was shown", () => {
    const response = "<search> Acme </search>\n\n<information>Doc 1 Ann</information>\n\n<answer> Ann </answer>"
    const one = read({ question: "Who founded Acme?", golden_answers: ["Ann"], response })
    assert.deepStrictEqual(learned(one), [
      [true, "<search> Acme </search>"],
      [false, "\n\n<information>Doc 1 Ann</information>\n\n"],
      [true, "<answer> Ann </answer>"]
    ])
    assert.isNull(one.prompt)
    assert.strictEqual(one.reward, 1)
    assert.strictEqual(one.pieces.map(({ text }) => text).join(""), response)
  })

  it.each([
    [3, /expected an object/],
    [{ messages: "x" }, /must be an array of/],
    [{ messages: conversation.slice(0, 2) }, /no message of the assistant/],
    [{ messages: [conversation[3], conversation[4]] }, /cannot come before the assistant's first/],
    [{ messages: [...conversation, { role: "user", content: "and?" }] }, /is no search result/],
    [{ messages: conversation, reward: "high" }, /"reward" must be a number/],
    [{ response: "<answer> a </answer>", golden_answers: "a" }, /neither a "question" nor a "prompt"/],
    [{ _tag: "Failed", error: { _tag: "RetrieverTimeout" } }, /this rollout failed \(RetrieverTimeout\)/],
    [{ segments: [{}] }, /no trajectory of this package/]
  ])("says what is wrong with %j", (value, message) => {
    assert.match(failure(value), message)
  })
})
