/**
 * How the families of chat models mark the turns of a conversation: one table for everything that reads such marks or
 * takes their meaning away.
 *
 * @since 0.2.0
 */

/**
 * Who speaks in a turn. `tool` stands for whatever answers a call: Llama 3's `ipython`, GLM's `observation`.
 *
 * @category models
 * @since 0.2.0
 */
export type Role = "system" | "user" | "assistant" | "tool"

/**
 * The marks of a family. White space at the end of an opening belongs to it, and may be missing in a recording.
 *
 * @category models
 * @since 0.2.0
 */
export interface ChatFamily {
  readonly name: string
  /** What stands in front of a conversation. */
  readonly begin: ReadonlyArray<string>
  /** What opens a turn. */
  readonly opens: Readonly<Record<Role, ReadonlyArray<string>>>
  /** What ends a turn or a text. */
  readonly ends: ReadonlyArray<string>
  /** What stands around a tool's result within a turn. */
  readonly around: ReadonlyArray<string>
  /** What ends a tool's turn so that the assistant goes on without an opening. */
  readonly goOn: ReadonlyArray<string>
  /** Further marks that only a template or the model itself may write. */
  readonly others: ReadonlyArray<string>
}

/** The openings of a family in which only the role's name differs. */
const named = (
  open: string,
  close: string,
  names: { readonly [R in Role]?: ReadonlyArray<string> } = {}
): ChatFamily["opens"] => {
  const of = (role: Role) => (names[role] ?? [role]).map((name) => `${open}${name}${close}`)
  return { system: of("system"), user: of("user"), assistant: of("assistant"), tool: of("tool") }
}

const toolCall = ["<tool_call>", "</tool_call>", "<tools>", "</tools>"]

/**
 * ChatML: Qwen, Yi, SmolLM, OLMo 3, InternLM, Hermes; with `<|im_sep|>` Phi-4.
 *
 * @category constants
 * @since 0.2.0
 */
export const chatml: ChatFamily = {
  name: "ChatML",
  begin: ["<|startoftext|>"],
  opens: named("<|im_start|>", "\n", { tool: ["tool", "function", "observation", "environment"] }),
  ends: ["<|im_end|>", "<|endoftext|>"],
  around: ["<tool_response>", "</tool_response>"],
  goOn: [],
  others: ["<|im_start|>", ...toolCall]
}

/**
 * Every family that is known here.
 *
 * @category constants
 * @since 0.2.0
 */
export const chatFamilies: ReadonlyArray<ChatFamily> = [
  chatml,
  {
    name: "Phi-4",
    begin: [],
    opens: named("<|im_start|>", "<|im_sep|>"),
    ends: ["<|im_end|>"],
    around: [],
    goOn: [],
    others: ["<|im_sep|>"]
  },
  {
    name: "Llama 3",
    begin: ["<|begin_of_text|>"],
    opens: named("<|start_header_id|>", "<|end_header_id|>\n\n", { tool: ["ipython", "tool"] }),
    ends: ["<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"],
    around: [],
    goOn: [],
    others: ["<|start_header_id|>", "<|end_header_id|>", "<|python_tag|>", "<|finetune_right_pad_id|>"]
  },
  {
    name: "Llama 4",
    begin: ["<|begin_of_text|>"],
    opens: named("<|header_start|>", "<|header_end|>\n\n", { tool: ["ipython", "tool"] }),
    ends: ["<|eot|>", "<|eom|>", "<|end_of_text|>"],
    around: [],
    goOn: [],
    others: ["<|header_start|>", "<|header_end|>", "<|python_start|>", "<|python_end|>"]
  },
  {
    name: "Mistral and Llama 2",
    begin: ["<s>"],
    opens: {
      system: ["[SYSTEM_PROMPT]", "<<SYS>>\n"],
      user: ["[INST] "],
      assistant: ["[/INST]"],
      tool: ["[TOOL_RESULTS]"]
    },
    ends: ["</s>", "[/SYSTEM_PROMPT]", "<</SYS>>"],
    around: [],
    goOn: ["[/TOOL_RESULTS]"],
    others: [
      "[AVAILABLE_TOOLS]",
      "[/AVAILABLE_TOOLS]",
      "[TOOL_CALLS]",
      "[TOOL_CONTENT]",
      "[THINK]",
      "[/THINK]",
      "<unk>"
    ]
  },
  {
    name: "Gemma",
    begin: ["<bos>"],
    opens: named("<start_of_turn>", "\n", { assistant: ["model"], tool: ["tool", "function"] }),
    ends: ["<end_of_turn>", "<eos>"],
    around: [],
    goOn: [],
    others: ["<start_of_turn>", "<pad>"]
  },
  {
    name: "Gemma 4",
    begin: ["<bos>"],
    opens: named("<|turn>", "\n", { assistant: ["model"] }),
    ends: ["<turn|>", "<eos>"],
    around: ["<|tool_response>", "<tool_response|>"],
    goOn: [],
    others: ["<|turn>", "<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", "<|tool>", "<tool|>"]
  },
  {
    name: "DeepSeek",
    begin: ["<｜begin▁of▁sentence｜>"],
    opens: {
      system: ["<｜System｜>"],
      user: ["<｜User｜>"],
      assistant: ["<｜Assistant｜>"],
      tool: ["<｜tool▁outputs▁begin｜>"]
    },
    ends: ["<｜end▁of▁sentence｜>"],
    around: ["<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>"],
    goOn: ["<｜tool▁outputs▁end｜>"],
    others: [
      "<｜tool▁calls▁begin｜>",
      "<｜tool▁calls▁end｜>",
      "<｜tool▁call▁begin｜>",
      "<｜tool▁call▁end｜>",
      "<｜tool▁sep｜>"
    ]
  },
  {
    name: "Phi-3, GLM, OLMo 2, Falcon 3 and Zephyr",
    begin: ["[gMASK]<sop>", "[gMASK]", "<sop>", "<|endoftext|>", "<s>"],
    opens: named("<|", "|>\n", { tool: ["tool", "observation", "ipython", "environment"] }),
    ends: ["<|end|>", "<|endoftext|>", "<|end_of_turn|>", "</s>"],
    around: ["<|tool_response|>", "<|/tool_response|>", "<|/tool|>", "<tool_response>", "</tool_response>"],
    goOn: [],
    others: ["<eop>", "[MASK]", "[sMASK]"]
  },
  {
    name: "Command R",
    begin: ["<BOS_TOKEN>"],
    opens: {
      system: ["<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>"],
      user: ["<|START_OF_TURN_TOKEN|><|USER_TOKEN|>"],
      assistant: [
        "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_RESPONSE|>",
        "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>"
      ],
      tool: ["<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|><|START_TOOL_RESULT|>"]
    },
    ends: ["<|END_RESPONSE|>", "<|END_OF_TURN_TOKEN|>", "<EOS_TOKEN>"],
    around: ["<results>\n", "</results>", "<|START_TOOL_RESULT|>", "<|END_TOOL_RESULT|>"],
    goOn: [],
    others: ["<|START_OF_TURN_TOKEN|>", "<PAD_TOKEN>", "<UNK_TOKEN>"]
  },
  {
    name: "Granite",
    begin: [],
    opens: named("<|start_of_role|>", "<|end_of_role|>", { tool: ["tool", "tool_response"] }),
    ends: ["<|end_of_text|>"],
    around: [],
    goOn: [],
    others: ["<|start_of_role|>", "<|end_of_role|>"]
  },
  {
    name: "gpt-oss",
    begin: [],
    opens: {
      system: ["<|start|>system<|message|>", "<|start|>developer<|message|>"],
      user: ["<|start|>user<|message|>"],
      assistant: ["<|start|>assistant<|channel|>final<|message|>", "<|start|>assistant"],
      tool: ["<|start|>tool<|message|>"]
    },
    ends: ["<|end|>", "<|call|>", "<|return|>"],
    around: [],
    goOn: [],
    others: ["<|start|>", "<|message|>", "<|channel|>"]
  },
  {
    name: "Kimi",
    begin: [],
    opens: {
      system: ["<|im_system|>system<|im_middle|>"],
      user: ["<|im_user|>user<|im_middle|>"],
      assistant: ["<|im_assistant|>assistant<|im_middle|>"],
      tool: ["<|im_system|>tool<|im_middle|>"]
    },
    ends: ["<|im_end|>", "[EOS]"],
    around: [],
    goOn: [],
    others: ["[BOS]", "[EOT]", "[PAD]"]
  },
  {
    name: "EXAONE",
    begin: ["[BOS]"],
    opens: named("[|", "|]", { tool: ["tool"] }),
    ends: ["[|endofturn|]"],
    around: [],
    goOn: [],
    others: []
  }
]

const each = (of: (family: ChatFamily) => ReadonlyArray<string>): ReadonlyArray<string> => [
  ...new Set(chatFamilies.flatMap(of))
]

/**
 * What stands in front of a conversation, of any family.
 *
 * @category getters
 * @since 0.2.0
 */
export const begins: ReadonlyArray<string> = each(({ begin }) => begin)

/**
 * What opens a turn of the assistant's, of any family.
 *
 * @category getters
 * @since 0.2.0
 */
export const assistantOpens: ReadonlyArray<string> = each(({ opens }) => opens.assistant)

/**
 * What opens a turn of anybody else's, of any family.
 *
 * @category getters
 * @since 0.2.0
 */
export const otherOpens: ReadonlyArray<string> = each(({ opens }) => [...opens.user, ...opens.tool, ...opens.system])

/**
 * What ends a turn, of any family.
 *
 * @category getters
 * @since 0.2.0
 */
export const ends: ReadonlyArray<string> = each((family) => family.ends)

/**
 * What stands around a tool's result, of any family.
 *
 * @category getters
 * @since 0.2.0
 */
export const around: ReadonlyArray<string> = each((family) => family.around)

/**
 * What ends a tool's turn so that the assistant goes on without an opening, of any family.
 *
 * @category getters
 * @since 0.2.0
 */
export const goOn: ReadonlyArray<string> = each((family) => family.goOn)

/** A mark by itself: `<…>`, `<<…>>`, `[…]`. What an opening holds beside marks is a role's name. */
const mark = /<<[^<>]*>>|<[^<>]*>|\[[^[\]]*\]/gu

/**
 * Every mark of every family, each by itself.
 *
 * @category getters
 * @since 0.2.0
 */
export const marks: ReadonlyArray<string> = [
  ...new Set(
    each(({ around, begin, ends, goOn, opens, others }) => [
      ...begin,
      ...Object.values(opens).flat(),
      ...ends,
      ...around,
      ...goOn,
      ...others
    ]).flatMap((text) => text.match(mark) ?? [])
  )
]
