/**
 * A process that keeps one vitest: it runs the tests that it is told, under the mutant that it is told, and answers.
 * Started by `pool.ts` with the folder of a copy and the form of it.
 */
import { join, relative } from "node:path"
import { createVitest, type TestModule, type TestSpecification } from "vitest/node"
import { activeVariable } from "./instrument.ts"
import type { Answer, Request, TestOutcome } from "./protocol.ts"

const [folder, bail] = [process.argv[2]!, process.argv[3] === "bail"]
process.chdir(folder)

const finished: { modules: ReadonlyArray<TestModule>; unhandled: ReadonlyArray<unknown> } = {
  modules: [],
  unhandled: []
}

const vitest = await createVitest({
  root: folder,
  config: join(folder, "vitest.config.ts"),
  watch: false,
  maxWorkers: 1,
  fileParallelism: false,
  ...(bail ? { bail: 1 } : {}),
  passWithNoTests: true,
  reporters: [{
    onTestRunEnd(modules, unhandled) {
      finished.modules = modules
      finished.unhandled = unhandled
    }
  }]
}, bail ? {} : { test: { setupFiles: [join(folder, "scripts", "mutate", "setup.ts")] } })
const project = vitest.getRootProject()

const answer = async ({ active, selections, testTimeout }: Request): Promise<Answer> => {
  process.env[activeVariable] = active
  project.config.env[activeVariable] = active
  project.config.testTimeout = testTimeout
  project.config.hookTimeout = testTimeout
  const specifications: ReadonlyArray<TestSpecification> = selections.map(({ file, tests }) =>
    project.createSpecification(join(folder, file), tests === undefined ? undefined : { testIds: [...tests] })
  )
  await vitest.runTestSpecifications([...specifications])
  const outcomes: Array<TestOutcome> = []
  const broken: Array<{ file: string; error: string }> = []
  for (const module of finished.modules) {
    const file = relative(folder, module.moduleId)
    for (const { message } of module.errors()) broken.push({ file, error: message })
    for (const suite of module.children.allSuites()) {
      for (const { message } of suite.errors()) broken.push({ file, error: message })
    }
    for (const test of module.children.allTests()) {
      const { errors, state } = test.result()
      if (state !== "passed" && state !== "failed") continue
      outcomes.push({
        id: test.id,
        file,
        name: test.fullName,
        passed: state === "passed",
        milliseconds: test.diagnostic()?.duration ?? 0,
        error: errors?.[0]?.message.split("\n")[0]
      })
    }
  }
  for (const error of finished.unhandled) broken.push({ file: "", error: String(error).split("\n")[0]! })
  return { outcomes, broken }
}

process.on("message", (request: Request) => {
  answer(request).then(
    (answer) => process.send!(answer),
    (error: unknown) => process.send!({ outcomes: [], broken: [{ file: "", error: String(error) }] })
  )
})
process.on("disconnect", () => process.exit())
process.send!("ready")
