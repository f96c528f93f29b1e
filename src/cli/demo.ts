/**
 * `search-r1 demo`: the main path on real parts, from the files that ship with the package.
 *
 * @since 0.1.0
 */
import { Console, Effect, FileSystem, Layer, Option, Path, Stream } from "effect"
import { Command } from "effect/cli"
import type { Failed, ScoredTrajectory } from "../domain/Outcome.ts"
import { shellPath } from "../domain/ShellWord.ts"
import { demoFile } from "../layers/assets.ts"
import * as Directories from "../layers/directories.ts"
import * as QuestionsFile from "../layers/questions/QuestionsFile.ts"
import * as RetrieverLunr from "../layers/retriever/RetrieverLunr.ts"
import * as RewardExactMatch from "../layers/reward/RewardExactMatch.ts"
import * as TokenizerBytes from "../layers/tokenizer/TokenizerBytes.ts"
import * as Rollout from "../programs/Rollout.ts"
import * as ScoredRollouts from "../programs/ScoredRollouts.ts"
import * as Flag from "./flag.ts"
import { invocation } from "./invocation.ts"
import { layerScript, promptsOf, questionOf } from "./policyScript.ts"
import { questionTable, totals } from "./rolloutSummary.ts"
import { style as terminalStyle } from "./style.ts"
import * as TextWidth from "./textWidth.ts"
import { trajectoryView } from "./trajectoryView.ts"
import { userError } from "./userError.ts"

const names = ["corpus", "questions", "script"] as const

/** Copies the demo's files. What is there already is left alone: it may be somebody's own. */
const copyFiles = Effect.fnUntraced(function*(directory: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  yield* Directories.make(directory)
  for (const name of names) {
    const target = path.join(directory, `${name}.jsonl`)
    const content = yield* fs.readFileString(demoFile(name))
    if (!(yield* fs.exists(target))) yield* fs.writeFileString(target, content)
    else if ((yield* fs.readFileString(target)) !== content) {
      return yield* userError(`${target} exists and is not the demo's.`, "Name another directory with --out.")
    }
  }
}, Effect.catchTag("PlatformError", (error) => userError(error)))

/**
 * @category commands
 * @since 0.1.0
 */
export const demo = Command.make("demo", {
  out: Flag.String("out").pipe(
    Flag.withMetavar("DIR"),
    Flag.withDescription("Write the demo's corpus, questions and script into this directory, to try other commands on"),
    Flag.optional
  )
}, ({ out }) =>
  Effect.gen(function*() {
    const style = yield* terminalStyle
    const command = yield* invocation
    const { join } = yield* Path.Path
    if (Option.isSome(out)) yield* copyFiles(out.value)
    const files = Option.getOrElse(out, () => "demo")
    const file = (name: string) => shellPath(join(files, name))
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
    yield* Console.log(
      `${questionTable(scored, failures, style, yield* TextWidth.available)}\n\n${totals(scored, failures)}`
    )
    yield* Console.log([
      "",
      style.heading("Try next"),
      ...(Option.isSome(out) ? [] : [`  ${command} demo --out ${shellPath(files)}`]),
      `  ${command} search "Who founded Karsholm?" --corpus ${file("corpus.jsonl")}`,
      `  ${command} rollout --questions ${file("questions.jsonl")} --script ${file("script.jsonl")} \\`,
      `      --corpus ${file("corpus.jsonl")} --group-size 2 --out rollouts.jsonl`,
      `  ${command} score rollouts.jsonl`
    ].join("\n"))
  })).pipe(
    Command.withDescription("Show the main path on real parts: rollouts, searches, rewards, one trajectory."),
    Command.withExamples([
      { command: "search-r1 demo", description: "Look at it" },
      { command: "search-r1 demo --out demo", description: "Get its files, to try search, rollout and serve on them" }
    ])
  )
