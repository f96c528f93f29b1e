/**
 * Transcripts: who wrote which text of a trajectory. What answers, formats and searches are judged on.
 *
 * A transcript is made from the segments of a rollout ({@link fromSegments}) or read back from recorded text
 * (`TranscriptParser`); scorers cannot tell the difference.
 *
 * @since 0.1.0
 */
import { Data } from "effect"
import { parseAction } from "./Protocol.ts"
import { actionText, type Segment } from "./Trajectory.ts"

/**
 * A run of text behind the prompt with one author.
 *
 * - `Policy`: model text, what it forged included.
 * - `Search`: the environment's answer to `query`, blank lines and tags included. `closed` is false where the closing
 *   tag was cut off.
 * - `InvalidAction`: the environment's message to a turn without a valid action.
 *
 * @category models
 * @since 0.1.0
 */
export type Part = Data.TaggedEnum<{
  readonly Policy: { readonly text: string }
  readonly Search: { readonly text: string; readonly query: string; readonly closed: boolean }
  readonly InvalidAction: { readonly text: string }
}>

/**
 * @category constructors
 * @since 0.1.0
 */
export const Part = Data.taggedEnum<Part>()

/**
 * A prompt and what followed it. The texts of `parts` in order are the response to the letter.
 *
 * @category models
 * @since 0.1.0
 */
export interface Transcript {
  readonly prompt: string
  readonly parts: ReadonlyArray<Part>
}

/**
 * The transcript of a rollout, without the surplus behind an action's closing tag.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromSegments = (segments: ReadonlyArray<Segment>): Transcript => {
  let prompt = ""
  const parts: Array<Part> = []
  for (const segment of segments) {
    switch (segment._tag) {
      case "Prompt":
        prompt += segment.text
        break
      case "Sampled":
        parts.push(Part.Policy({ text: actionText(segment) }))
        break
      case "Observation":
        parts.push(
          segment.source._tag === "Search"
            ? Part.Search({
              text: segment.text,
              query: segment.source.query,
              closed: segment.text.trimEnd().endsWith("</information>")
            })
            : Part.InvalidAction({ text: segment.text })
        )
    }
  }
  return { prompt, parts }
}

/**
 * Stands for search results in {@link policyTexts}: U+FFFC, the object replacement character. It is neither white space
 * nor punctuation, so an answer with search results inside equals no golden answer.
 *
 * @category constants
 * @since 0.1.0
 */
export const opaque = "\uFFFC"

/**
 * The policy's own text, search results being one opaque character each: a tag in a document does not exist here. An
 * invalid-action message separates the texts, because the tags that it quotes close whatever was open before it.
 *
 * @category getters
 * @since 0.1.0
 */
export const policyTexts = (transcript: Transcript): ReadonlyArray<string> => {
  const texts: Array<string> = []
  let text = ""
  for (const part of transcript.parts) {
    switch (part._tag) {
      case "Policy":
        text += part.text
        break
      case "Search":
        text += opaque
        break
      case "InvalidAction":
        texts.push(text)
        text = ""
    }
  }
  texts.push(text)
  return texts
}

/**
 * Everything behind the prompt.
 *
 * @category getters
 * @since 0.1.0
 */
export const responseText = (transcript: Transcript): string => {
  let text = ""
  for (const part of transcript.parts) text += part.text
  return text
}

/**
 * Prompt and response: the string that the reference grades.
 *
 * @category getters
 * @since 0.1.0
 */
export const fullText = (transcript: Transcript): string => transcript.prompt + responseText(transcript)

const informationOpen = "<information>"
const informationClose = "</information>"

/**
 * What an observation holds between its tags.
 *
 * @category getters
 * @since 0.1.0
 */
export const information = (part: Extract<Part, { readonly _tag: "Search" }>): string => {
  const start = part.text.indexOf(informationOpen)
  const end = part.closed ? part.text.lastIndexOf(informationClose) : -1
  return part.text.slice(start === -1 ? 0 : start + informationOpen.length, end === -1 ? undefined : end)
}

/**
 * Counts of a transcript.
 *
 * @category models
 * @since 0.1.0
 */
export interface Counts {
  /** Searches that an observation answered. */
  readonly executedSearches: number
  /** Executed searches, and one more when the last turn asks for a search that nobody answered (quirk Q9). */
  readonly requestedSearches: number
  /** Turns answered with the invalid-action message. */
  readonly invalidActions: number
  /** `<information>` blocks that the policy wrote itself, unclosed ones included. */
  readonly forgedObservations: number
  /** Observations whose closing tag was cut off. */
  readonly truncatedObservations: number
}

const countForged = (text: string): number => {
  let count = 0
  let from = text.indexOf(informationOpen)
  while (from !== -1) {
    count++
    const end = text.indexOf(informationClose, from)
    from = end === -1 ? -1 : text.indexOf(informationOpen, end)
  }
  return count
}

/**
 * @category getters
 * @since 0.1.0
 */
export const counts = (transcript: Transcript): Counts => {
  let executedSearches = 0
  let invalidActions = 0
  let forgedObservations = 0
  let truncatedObservations = 0
  for (const part of transcript.parts) {
    switch (part._tag) {
      case "Policy":
        forgedObservations += countForged(part.text)
        break
      case "Search":
        executedSearches++
        if (!part.closed) truncatedObservations++
        break
      case "InvalidAction":
        invalidActions++
    }
  }
  const last = transcript.parts.at(-1)
  const pending = last?._tag === "Policy" && parseAction(last.text)._tag === "Search" ? 1 : 0
  return {
    executedSearches,
    requestedSearches: executedSearches + pending,
    invalidActions,
    forgedObservations,
    truncatedObservations
  }
}
