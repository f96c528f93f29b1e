import * as TokenizerBytes from "../../../src/layers/tokenizer/TokenizerBytes.ts"
import * as TokenizerJson from "../../../src/layers/tokenizer/TokenizerJson.ts"
import * as TokenizerLlama2c from "../../../src/layers/tokenizer/TokenizerLlama2c.ts"
import * as TokenizerTiktoken from "../../../src/layers/tokenizer/TokenizerTiktoken.ts"
import { tokenizerContract } from "../../contract/tokenizer.ts"
import { byteFallbackJson, byteLevelJson, llama2cFile, merges, rankFile, withFiles, wordLevelJson } from "./files.ts"

const nfc = (text: string) => text.normalize("NFC")
const json = (directory: string) => TokenizerJson.layer({ directory, endOfText: ["<|endoftext|>", "<|im_end|>"] })
const config = { eos_token: "</s>", chat_template: "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}" }

tokenizerContract("TokenizerBytes", TokenizerBytes.layer, { endOfText: ["<|endoftext|>"], decoded: (text) => text })

tokenizerContract("TokenizerJson, byte-level", withFiles({ "tokenizer.json": byteLevelJson() }, json), {
  endOfText: ["<|endoftext|>", "<|im_end|>"],
  decoded: nfc
})

tokenizerContract(
  "TokenizerJson, byte fallback",
  withFiles(
    { "tokenizer.json": byteFallbackJson(), "tokenizer_config.json": config },
    (directory) => TokenizerJson.layer({ directory })
  ),
  { endOfText: ["</s>"], decoded: (text) => text }
)

tokenizerContract(
  "TokenizerJson, word-level",
  withFiles(
    { "tokenizer.json": wordLevelJson(), "config.json": { eos_token_id: 1 } },
    (directory) => TokenizerJson.layer({ directory })
  ),
  { endOfText: ["<eos>"] }
)

tokenizerContract(
  "TokenizerTiktoken",
  withFiles({ ranks: rankFile(merges) }, (directory) => TokenizerTiktoken.layer({ path: `${directory}/ranks` })),
  { endOfText: ["<|endoftext|>", "<|im_end|>"], decoded: nfc }
)

tokenizerContract(
  "TokenizerTiktoken with Llama 3's settings",
  withFiles({ ranks: rankFile(merges) }, (directory) =>
    TokenizerTiktoken.layer({
      path: `${directory}/ranks`,
      specialTokens: ["<|begin_of_text|>", "<|eot_id|>"],
      endOfText: ["<|eot_id|>"],
      normalization: "none",
      digits: 3
    })),
  { endOfText: ["<|eot_id|>"], decoded: (text) => text }
)

tokenizerContract(
  "TokenizerLlama2c",
  withFiles(
    { "tok.bin": llama2cFile([" t", "th", " the", " ", "a", "b", "t", "h", "e", "é", "日"]) },
    (directory) => TokenizerLlama2c.layer(`${directory}/tok.bin`)
  ),
  { endOfText: ["</s>", "<s>"], decoded: (text) => text === "" ? "" : ` ${text}` }
)
