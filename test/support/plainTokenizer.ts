import * as Spans from "../../src/domain/Spans.ts"
import * as ChatTemplate from "../../src/layers/tokenizer/ChatTemplate.ts"
import type { Tokenizer } from "../../src/services/Tokenizer.ts"

type Service = Tokenizer["Service"]

/** A tokenizer without special tokens, whose texts have one author as far as it knows. */
export const plainTokenizer = (
  parts: Pick<Service, "vocabularySize" | "encode" | "decode" | "decoder">
): Service => ({
  ...parts,
  ...ChatTemplate.none,
  endOfText: [],
  specialIds: [],
  encodeSpans: (spans) => parts.encode(Spans.text(spans))
})
