/**
 * The added tokens that a model's folder has in `tokenizer.json` and in the files beside it.
 *
 * @since 0.2.0
 */
import { Schema } from "effect"
import type { AddedToken } from "./AddedTokens.ts"
import {
  type ConfiguredToken,
  ExtraTokens,
  namedTokens,
  type TokenizerConfig,
  type TokenizerJson
} from "./TokenizerJsonFile.ts"

/**
 * What transformers reads where `tokenizer_config.json` has no `added_tokens_decoder`: the ids of `added_tokens.json`, and
 * `special_tokens_map.json`.
 *
 * @category schemas
 * @since 0.2.0
 */
export const LegacyTokens = Schema.Record(Schema.String, Schema.Natural)

/**
 * @category schemas
 * @since 0.2.0
 */
export const SpecialTokensMap = Schema.Struct({
  additional_special_tokens: ExtraTokens,
  extra_special_tokens: ExtraTokens
})

/**
 * @category models
 * @since 0.2.0
 */
export interface LegacyFiles {
  readonly addedTokens?: typeof LegacyTokens.Type | undefined
  readonly specialTokensMap?: typeof SpecialTokensMap.Type | undefined
}

type Wanted = Omit<AddedToken, "id"> & { readonly id: number | null }

const wanted = (token: string | ConfiguredToken, id: number | null): Wanted =>
  typeof token === "string"
    ? { id, content: token, special: true, normalized: false }
    : {
      id,
      content: token.content,
      special: token.special === true,
      normalized: token.normalized ?? token.special !== true,
      lstrip: token.lstrip === true,
      rstrip: token.rstrip === true,
      singleWord: token.single_word === true
    }

const extraTokens = (...lists: ReadonlyArray<typeof SpecialTokensMap.Type["extra_special_tokens"]>) =>
  lists.flatMap((list) => list === undefined || list === null ? [] : Object.values(list)).map((token) => ({
    ...wanted(token, null),
    special: true
  }))

/** Tokens of the other files, in the order in which transformers adds them. */
const wantedTokens = (settings: TokenizerConfig, legacy: LegacyFiles): ReadonlyArray<Wanted> => {
  const extra = extraTokens(settings.additional_special_tokens, settings.extra_special_tokens)
  const decoder = settings.added_tokens_decoder
  const byId = (tokens: ReadonlyArray<Wanted>) => tokens.toSorted((a, b) => (a.id ?? 0) - (b.id ?? 0))
  if (decoder !== undefined && decoder !== null) {
    return [...byId(Object.entries(decoder).map(([id, token]) => wanted(token, Number(id)))), ...extra]
  }
  const mapped = legacy.specialTokensMap
  const all = [...extra, ...extraTokens(mapped?.additional_special_tokens, mapped?.extra_special_tokens)]
  const names = new Set([...all.map(({ content }) => content), ...namedTokens(settings)])
  const old = Object.entries(legacy.addedTokens ?? {}).map(([content, id]): Wanted => {
    const special = names.has(content)
    return { id, content, special, normalized: !special }
  })
  return [...byId(old), ...all]
}

/**
 * All added tokens: those of `tokenizer.json`, as the other files change them and with what these add. As transformers has
 * it, a token that no vocabulary has gets the next free id, whatever id a file gives it: `moved` tells where these differ.
 *
 * @category getters
 * @since 0.2.0
 */
export const addedTokens = (
  json: Pick<TokenizerJson, "added_tokens">,
  vocabulary: ReadonlyMap<string, number> | undefined,
  settings: TokenizerConfig,
  legacy: LegacyFiles
): {
  readonly tokens: ReadonlyArray<AddedToken>
  readonly moved: ReadonlyArray<{ readonly content: string; readonly given: number; readonly id: number }>
} => {
  const named = new Set(namedTokens(settings))
  const tokens = new Map<string, AddedToken>()
  for (const token of json.added_tokens) tokens.set(token.content, { ...wanted(token, null), id: token.id })
  const moved: Array<{ readonly content: string; readonly given: number; readonly id: number }> = []
  let next = vocabulary?.size ?? 0
  for (const { id } of tokens.values()) next = Math.max(next, id + 1)
  for (const token of wantedTokens(settings, legacy)) {
    const { content } = token
    if (content === "" || (token.id === null && tokens.has(content))) continue
    const id = tokens.get(content)?.id ?? vocabulary?.get(content) ?? next
    if (id === next) next++
    if (token.id !== null && token.id !== id) moved.push({ content, given: token.id, id })
    tokens.set(content, { ...token, id, special: token.special || named.has(content) })
  }
  return { tokens: [...tokens.values()], moved }
}
