/**
 * The directory that an index is built in, and the place that it then takes.
 *
 * @since 0.2.0
 */
import { Effect, FileSystem, Option, Path, Schema } from "effect"
import * as AtomicFile from "../../atomicFile.ts"
import * as Directories from "../../directories.ts"
import * as ReplaceDirectory from "../../replaceDirectory.ts"
import { IndexIo } from "../indexfile/errors.ts"
import * as Replaceable from "../indexfile/replaceable.ts"
import { fileName, Plan } from "./description.ts"

const PlanJson = Schema.fromJsonString(Plan)
const encodePlan = Schema.encodeEffect(PlanJson)

const planName = "plan.json"

/**
 * A directory for the build: that of an earlier one of the same plan, or a new one.
 *
 * @category constructors
 * @since 0.2.0
 */
export const stage = Effect.fnUntraced(function*(path: string, plan: Plan, restart: boolean) {
  const fs = yield* FileSystem.FileSystem
  const { join } = yield* Path.Path
  const directory = `${path}.building`
  yield* ReplaceDirectory.recover(path)
  yield* Replaceable.directory(path, fileName)
  yield* Replaceable.directory(directory, planName)
  const planFile = join(directory, planName)
  const wanted = yield* Effect.orDie(encodePlan(plan))
  if (restart) yield* fs.remove(directory, { recursive: true, force: true })
  const earlier = yield* Effect.option(fs.readFileString(planFile))
  if (Option.isSome(earlier) && earlier.value !== wanted) {
    return yield* new IndexIo({
      path: directory,
      reason: "an index of another kind was begun here. Build that one to its end, or begin anew with --restart"
    })
  }
  if (Option.isNone(earlier)) {
    yield* fs.remove(directory, { recursive: true, force: true })
    yield* Directories.make(directory)
    yield* AtomicFile.writeString(planFile, wanted)
  }
  return directory
})
