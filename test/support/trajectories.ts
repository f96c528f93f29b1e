/** Trajectories from text, for tests of what is judged on text: one token a UTF-16 unit. */
import { invalidActionMessage, parseAction, renderPrompt, wrapInformation } from "../../src/domain/Protocol.ts"
import { Question } from "../../src/domain/Question.ts"
import { type Segment, Trajectory } from "../../src/domain/Trajectory.ts"

const ids = (text: string) => Int32Array.from({ length: text.length }, (_, index) => text.charCodeAt(index))

/** A turn: what the policy writes, and the documents it gets for its search. */
export interface Turn {
  readonly text: string
  readonly documents?: string
}

export const trajectoryOf = (
  turns: ReadonlyArray<Turn>,
  options?: { readonly goldenAnswers?: ReadonlyArray<string>; readonly promptKey?: string }
): Trajectory => {
  const question = new Question({
    id: "q",
    dataSource: "nq",
    question: "capital of France?",
    goldenAnswers: options?.goldenAnswers ?? ["Paris"]
  })
  const prompt = `<|im_start|>user\n${renderPrompt("search", question.question)}<|im_end|>\n<|im_start|>assistant\n`
  const segments: Array<Segment> = [{ _tag: "Prompt", text: prompt, ids: ids(prompt) }]
  const counts = { turns: 0, validActions: 0, invalidActions: 0, requestedSearches: 0, executedSearches: 0 }
  let answered = false
  for (const [index, { documents, text }] of turns.entries()) {
    counts.turns++
    segments.push({
      _tag: "Sampled",
      text,
      ids: ids(text),
      logProbs: new Float32Array(text.length).fill(-0.5),
      surplus: "",
      finish: "stop",
      policyVersion: 0
    })
    const action = parseAction(text)
    if (action._tag === "None") counts.invalidActions++
    else counts.validActions++
    answered = action._tag === "Answer"
    if (action._tag === "Search") counts.requestedSearches++
    if (index === turns.length - 1 && documents === undefined) continue
    const observation = action._tag === "Search" ? wrapInformation(documents ?? "") : invalidActionMessage
    if (action._tag === "Search") counts.executedSearches++
    segments.push({
      _tag: "Observation",
      text: observation,
      ids: ids(observation),
      source: action._tag === "Search"
        ? { _tag: "Search", query: action.query, documents: [], truncated: 0 }
        : { _tag: "InvalidAction" }
    })
  }
  return new Trajectory({
    promptKey: options?.promptKey ?? "p",
    sample: 0,
    question,
    segments,
    ending: answered ? "answer" : "turns",
    counts
  })
}
