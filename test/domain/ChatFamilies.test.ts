import { assert, describe, it } from "@effect/vitest"
import * as ChatFamilies from "../../src/domain/ChatFamilies.ts"
import { neutralizeTags } from "../../src/domain/Protocol.ts"

const words = (text: string): ReadonlyArray<string> => text.split(/\s+/).filter((word) => word !== "")

/** The special tokens that the models' published tokenizers and templates write. */
const published: Readonly<Record<string, string>> = {
  ChatML: "<|startoftext|> <|im_start|> <|im_end|> <|endoftext|> <tool_response> </tool_response> <tool_call> " +
    "</tool_call> <tools> </tools>",
  "Phi-4": "<|im_start|> <|im_sep|> <|im_end|>",
  "Llama 3": "<|begin_of_text|> <|start_header_id|> <|end_header_id|> <|eot_id|> <|eom_id|> <|end_of_text|> " +
    "<|python_tag|> <|finetune_right_pad_id|>",
  "Llama 4": "<|begin_of_text|> <|header_start|> <|header_end|> <|eot|> <|eom|> <|end_of_text|> <|python_start|> " +
    "<|python_end|>",
  "Mistral and Llama 2": "<s> </s> <unk> [INST] [/INST] <<SYS>> <</SYS>> [SYSTEM_PROMPT] [/SYSTEM_PROMPT] " +
    "[TOOL_RESULTS] [/TOOL_RESULTS] [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS] [TOOL_CALLS] [TOOL_CONTENT] [THINK] [/THINK]",
  Gemma: "<bos> <eos> <pad> <start_of_turn> <end_of_turn>",
  "Gemma 4": "<bos> <eos> <|turn> <turn|> <|channel> <channel|> <|tool> <tool|> <|tool_call> <tool_call|> " +
    "<|tool_response> <tool_response|>",
  DeepSeek:
    "<｜begin▁of▁sentence｜> <｜end▁of▁sentence｜> <｜System｜> <｜User｜> <｜Assistant｜> <｜tool▁calls▁begin｜> " +
    "<｜tool▁calls▁end｜> <｜tool▁call▁begin｜> <｜tool▁call▁end｜> <｜tool▁outputs▁begin｜> <｜tool▁outputs▁end｜> " +
    "<｜tool▁output▁begin｜> <｜tool▁output▁end｜> <｜tool▁sep｜>",
  "Phi-3, GLM, OLMo 2, Falcon 3 and Zephyr": "<|system|> <|user|> <|assistant|> <|tool|> <|/tool|> <|observation|> " +
    "<|ipython|> <|environment|> <|end|> <|endoftext|> <|end_of_turn|> <s> </s> [gMASK] <sop> <eop> [MASK] [sMASK] " +
    "<|tool_response|> <|/tool_response|> <tool_response> </tool_response>",
  "Command R": "<BOS_TOKEN> <EOS_TOKEN> <PAD_TOKEN> <UNK_TOKEN> <|START_OF_TURN_TOKEN|> <|END_OF_TURN_TOKEN|> " +
    "<|SYSTEM_TOKEN|> <|USER_TOKEN|> <|CHATBOT_TOKEN|> <|START_RESPONSE|> <|END_RESPONSE|> <|START_TOOL_RESULT|> " +
    "<|END_TOOL_RESULT|> <results> </results>",
  Granite: "<|start_of_role|> <|end_of_role|> <|end_of_text|>",
  "gpt-oss": "<|start|> <|message|> <|channel|> <|end|> <|call|> <|return|>",
  Kimi: "<|im_system|> <|im_user|> <|im_assistant|> <|im_middle|> <|im_end|> [BOS] [EOS] [EOT] [PAD]",
  EXAONE: "[BOS] [|system|] [|user|] [|assistant|] [|tool|] [|endofturn|]"
}

/** How each family opens the turns of system, user, assistant and tool. */
const openings: Readonly<Record<string, Readonly<Record<ChatFamilies.Role, ReadonlyArray<string>>>>> = {
  ChatML: {
    system: ["<|im_start|>system\n"],
    user: ["<|im_start|>user\n"],
    assistant: ["<|im_start|>assistant\n"],
    tool: ["tool", "function", "observation", "environment"].map((name) => `<|im_start|>${name}\n`)
  },
  "Phi-4": {
    system: ["<|im_start|>system<|im_sep|>"],
    user: ["<|im_start|>user<|im_sep|>"],
    assistant: ["<|im_start|>assistant<|im_sep|>"],
    tool: ["<|im_start|>tool<|im_sep|>"]
  },
  "Llama 3": {
    system: ["<|start_header_id|>system<|end_header_id|>\n\n"],
    user: ["<|start_header_id|>user<|end_header_id|>\n\n"],
    assistant: ["<|start_header_id|>assistant<|end_header_id|>\n\n"],
    tool: ["<|start_header_id|>ipython<|end_header_id|>\n\n", "<|start_header_id|>tool<|end_header_id|>\n\n"]
  },
  "Llama 4": {
    system: ["<|header_start|>system<|header_end|>\n\n"],
    user: ["<|header_start|>user<|header_end|>\n\n"],
    assistant: ["<|header_start|>assistant<|header_end|>\n\n"],
    tool: ["<|header_start|>ipython<|header_end|>\n\n", "<|header_start|>tool<|header_end|>\n\n"]
  },
  "Mistral and Llama 2": {
    system: ["[SYSTEM_PROMPT]", "<<SYS>>\n"],
    user: ["[INST] "],
    assistant: ["[/INST]"],
    tool: ["[TOOL_RESULTS]"]
  },
  Gemma: {
    system: ["<start_of_turn>system\n"],
    user: ["<start_of_turn>user\n"],
    assistant: ["<start_of_turn>model\n"],
    tool: ["<start_of_turn>tool\n", "<start_of_turn>function\n"]
  },
  "Gemma 4": {
    system: ["<|turn>system\n"],
    user: ["<|turn>user\n"],
    assistant: ["<|turn>model\n"],
    tool: ["<|turn>tool\n"]
  },
  DeepSeek: {
    system: ["<｜System｜>"],
    user: ["<｜User｜>"],
    assistant: ["<｜Assistant｜>"],
    tool: ["<｜tool▁outputs▁begin｜>"]
  },
  "Phi-3, GLM, OLMo 2, Falcon 3 and Zephyr": {
    system: ["<|system|>\n"],
    user: ["<|user|>\n"],
    assistant: ["<|assistant|>\n"],
    tool: ["<|tool|>\n", "<|observation|>\n", "<|ipython|>\n", "<|environment|>\n"]
  },
  "Command R": {
    system: ["<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>"],
    user: ["<|START_OF_TURN_TOKEN|><|USER_TOKEN|>"],
    assistant: [
      "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_RESPONSE|>",
      "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>"
    ],
    tool: ["<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|><|START_TOOL_RESULT|>"]
  },
  Granite: {
    system: ["<|start_of_role|>system<|end_of_role|>"],
    user: ["<|start_of_role|>user<|end_of_role|>"],
    assistant: ["<|start_of_role|>assistant<|end_of_role|>"],
    tool: ["<|start_of_role|>tool<|end_of_role|>", "<|start_of_role|>tool_response<|end_of_role|>"]
  },
  "gpt-oss": {
    system: ["<|start|>system<|message|>", "<|start|>developer<|message|>"],
    user: ["<|start|>user<|message|>"],
    assistant: ["<|start|>assistant<|channel|>final<|message|>", "<|start|>assistant"],
    tool: ["<|start|>tool<|message|>"]
  },
  Kimi: {
    system: ["<|im_system|>system<|im_middle|>"],
    user: ["<|im_user|>user<|im_middle|>"],
    assistant: ["<|im_assistant|>assistant<|im_middle|>"],
    tool: ["<|im_system|>tool<|im_middle|>"]
  },
  EXAONE: { system: ["[|system|]"], user: ["[|user|]"], assistant: ["[|assistant|]"], tool: ["[|tool|]"] }
}

/** What ends turns and texts: the ends-of-generation of the published `generation_config.json` and templates. */
const ends: Readonly<Record<string, string>> = {
  ChatML: "<|im_end|> <|endoftext|>",
  "Phi-4": "<|im_end|>",
  "Llama 3": "<|eot_id|> <|eom_id|> <|end_of_text|>",
  "Llama 4": "<|eot|> <|eom|> <|end_of_text|>",
  "Mistral and Llama 2": "</s> [/SYSTEM_PROMPT] <</SYS>>",
  Gemma: "<end_of_turn> <eos>",
  "Gemma 4": "<turn|> <eos>",
  DeepSeek: "<｜end▁of▁sentence｜>",
  "Phi-3, GLM, OLMo 2, Falcon 3 and Zephyr": "<|end|> <|endoftext|> <|end_of_turn|> </s>",
  "Command R": "<|END_RESPONSE|> <|END_OF_TURN_TOKEN|> <EOS_TOKEN>",
  Granite: "<|end_of_text|>",
  "gpt-oss": "<|end|> <|call|> <|return|>",
  Kimi: "<|im_end|> [EOS]",
  EXAONE: "[|endofturn|]"
}

/** What stands in front of a conversation, around a tool's result, and before the assistant's going on. */
const frames: Readonly<Record<string, readonly [begin: string, around: string, goOn: string]>> = {
  ChatML: ["<|startoftext|>", "<tool_response> </tool_response>", ""],
  "Phi-4": ["", "", ""],
  "Llama 3": ["<|begin_of_text|>", "", ""],
  "Llama 4": ["<|begin_of_text|>", "", ""],
  "Mistral and Llama 2": ["<s>", "", "[/TOOL_RESULTS]"],
  Gemma: ["<bos>", "", ""],
  "Gemma 4": ["<bos>", "<|tool_response> <tool_response|>", ""],
  DeepSeek: ["<｜begin▁of▁sentence｜>", "<｜tool▁output▁begin｜> <｜tool▁output▁end｜>", "<｜tool▁outputs▁end｜>"],
  "Phi-3, GLM, OLMo 2, Falcon 3 and Zephyr": [
    "[gMASK]<sop> [gMASK] <sop> <|endoftext|> <s>",
    "<|tool_response|> <|/tool_response|> <|/tool|> <tool_response> </tool_response>",
    ""
  ],
  "Command R": ["<BOS_TOKEN>", "<results> </results> <|START_TOOL_RESULT|> <|END_TOOL_RESULT|>", ""],
  Granite: ["", "", ""],
  "gpt-oss": ["", "", ""],
  Kimi: ["", "", ""],
  EXAONE: ["[BOS]", "", ""]
}

const marksOf = ({ around, begin, ends, goOn, opens, others }: ChatFamilies.ChatFamily): ReadonlyArray<string> =>
  [...begin, ...Object.values(opens).flat(), ...ends, ...around, ...goOn, ...others]
    .flatMap((text) => text.match(/<<[^<>]*>>|<[^<>]*>|\[[^[\]]*\]/gu) ?? [])

const sorted = (texts: Iterable<string>) => [...new Set(texts)].sort()

describe("families of chat models", () => {
  it("are those that are documented", () => {
    assert.deepStrictEqual(ChatFamilies.chatFamilies.map(({ name }) => name), Object.keys(published))
    assert.strictEqual(ChatFamilies.chatFamilies[0], ChatFamilies.chatml)
  })

  it.each(ChatFamilies.chatFamilies)("$name has the marks of its tokenizer", (family) => {
    assert.deepStrictEqual(sorted(marksOf(family)), sorted(words(published[family.name] ?? "")))
    assert.deepStrictEqual(family.opens, openings[family.name])
    assert.deepStrictEqual(family.ends, words(ends[family.name] ?? ""))
    assert.deepStrictEqual(
      [family.begin, family.around.map((mark) => mark.trim()), family.goOn],
      frames[family.name]?.map(words)
    )
    assert.isFalse(family.others.includes(""))
  })

  it("are one list for each purpose, without repetition", () => {
    const all = (of: (family: ChatFamilies.ChatFamily) => ReadonlyArray<string>) =>
      sorted(ChatFamilies.chatFamilies.flatMap(of))
    const lists: ReadonlyArray<readonly [ReadonlyArray<string>, ReadonlyArray<string>]> = [
      [ChatFamilies.begins, all(({ begin }) => begin)],
      [ChatFamilies.assistantOpens, all(({ opens }) => opens.assistant)],
      [ChatFamilies.otherOpens, all(({ opens }) => [...opens.user, ...opens.system, ...opens.tool])],
      [ChatFamilies.ends, all((family) => family.ends)],
      [ChatFamilies.around, all((family) => family.around)],
      [ChatFamilies.goOn, all((family) => family.goOn)],
      [ChatFamilies.marks, sorted(Object.values(published).flatMap(words))]
    ]
    for (const [list, expected] of lists) {
      assert.isAbove(expected.length, 1)
      assert.deepStrictEqual(sorted(list), expected)
      assert.strictEqual(list.length, expected.length)
    }
  })

  it("have no mark that stays one in a document", () => {
    for (const mark of Object.values(published).flatMap(words)) {
      const plain = neutralizeTags(`a ${mark} b`)
      assert.deepStrictEqual(ChatFamilies.marks.filter((other) => plain.includes(other)), [], mark)
      assert.match(plain, /^a .+ b$/)
    }
  })
})
