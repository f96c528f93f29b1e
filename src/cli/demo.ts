/**
 * `search-r1 demo`: the main path on real parts, from the files that ship with the package.
 *
 * @since 0.1.0
 */
import { Console, Effect, Layer, Stream } from "effect"
import { Command } from "effect/cli"
import type { Failed, ScoredTrajectory } from "../domain/Outcome.ts"
import * as QuestionsFile from "../layers/questions/QuestionsFile.ts"
import * as RetrieverLunr from "../layers/retriever/RetrieverLunr.ts"
import * as RewardExactMatch from "../layers/reward/RewardExactMatch.ts"
import * as TokenizerBytes from "../layers/tokenizer/TokenizerBytes.ts"
import * as Rollout from "../programs/Rollout.ts"
import * as ScoredRollouts from "../programs/ScoredRollouts.ts"
import { demoFile } from "./assets.ts"
import { layerScript, promptsOf, questionOf } from "./policyScript.ts"
import { questionTable, totals } from "./rolloutSummary.ts"
import { style as terminalStyle } from "./style.ts"
import { trajectoryView } from "./trajectoryView.ts"
import { userError } from "./userError.ts"

/**
 * @category commands
 * @since 0.1.0
 */
export const demo = Command.make("demo", {}, () =>
  Effect.gen(function*() {
    const style = yield* terminalStyle
    const scored: Array<ScoredTrajectory> = []
    const failures: Array<Failed<Rollout.RolloutError>> = []
    yield* Console.log(
      "Twenty rollouts of a scripted policy over a small encyclopedia, searched with lunr. One of them:\n"
    )
    yield* ScoredRollouts.score(
      Rollout.outcomes(promptsOf, {
        groupSize: 2,
        order: "input",
        maxPromptTokens: 4096,
        maxResponseTokens: 2000,
        maxObservationTokens: 4000,
        maxContextTokens: 32_768
      })
    ).pipe(
      Stream.runForEach((outcome) =>
        Effect.sync(() => {
          if (outcome._tag === "Scored") scored.push(outcome.scored)
          else failures.push(outcome)
        })
      ),
      Effect.provide([
        layerScript(demoFile("script"), questionOf).pipe(Layer.provideMerge(TokenizerBytes.layer)),
        QuestionsFile.layer({ paths: [demoFile("questions")] }),
        RetrieverLunr.layerFile(demoFile("corpus")),
        RewardExactMatch.layer()
      ]),
      Effect.mapError((error) => error._tag === "UserError" ? error : userError(error))
    )
    const shown = scored[0]
    if (shown !== undefined) yield* Console.log(`${trajectoryView(shown, style)}\n`)
    yield* Console.log(`${questionTable(scored, failures, style)}\n\n${totals(scored, failures)}`)
    yield* Console.log([
      "",
      style.heading("Try next"),
      "  npm run -s search-r1 -- search \"Who founded Karsholm?\" --corpus assets/demo/corpus.jsonl",
      "  npm run -s search-r1 -- rollout --questions assets/demo/questions.jsonl --script assets/demo/script.jsonl \\",
      "      --corpus assets/demo/corpus.jsonl --group-size 2 --out rollouts.jsonl",
      "  npm run -s search-r1 -- score --help"
    ].join("\n"))
  })).pipe(
    Command.withDescription("Show the main path on real parts: rollouts, searches, rewards, one trajectory.")
  )
