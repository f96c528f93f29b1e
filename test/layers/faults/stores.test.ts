import { Effect, FileSystem, Stream } from "effect"
import * as AtomicFile from "../../../src/layers/atomicFile.ts"
import * as CheckpointsFileSystem from "../../../src/layers/checkpoints/CheckpointsFileSystem.ts"
import * as Weights from "../../../src/layers/model/Weights.ts"
import * as ReplaceDirectory from "../../../src/layers/replaceDirectory.ts"
import * as SettledFiles from "../../../src/layers/settledFiles.ts"
import { Checkpoints } from "../../../src/services/Checkpoints.ts"
import { checkpointAt } from "../../contract/checkpoints.ts"
import { faultsContract } from "../../contract/faults.ts"
import { numbersOf, smallConfig } from "../model/modelFiles.ts"

faultsContract({
  name: "a file that is replaced",
  before: (root) => AtomicFile.writeString(`${root}/deep/file`, "old"),
  write: (root) => AtomicFile.writeString(`${root}/deep/file`, "new and longer"),
  read: (root) => FileSystem.FileSystem.use((fs) => fs.readFileString(`${root}/deep/file`))
})

const checkpoints = <A, E>(root: string, use: (checkpoints: Checkpoints["Service"]) => Effect.Effect<A, E>) =>
  Checkpoints.use(use).pipe(
    Effect.provide(CheckpointsFileSystem.layer(`${root}/run/checkpoints`, { keepLast: 1 }), { local: true })
  )

for (const [name, first, second] of [["first", [], 2], ["same", [1, 2], 2]] as const) {
  faultsContract({
    name: `the save of the ${name} checkpoint`,
    before: (root) => Effect.forEach(first, (step) => checkpoints(root, ({ save }) => save(checkpointAt(step, 0.5)))),
    alias: (name) => name.replace(/(step-\d+)-\d+/, "$1"),
    sample: 8,
    write: (root) => checkpoints(root, ({ save }) => save(checkpointAt(second, 0.75))),
    read: (root) =>
      checkpoints(
        root,
        ({ latest, load }) =>
          Effect.flatMap(Effect.flatMap(latest, Effect.fromOption), (info) =>
            Effect.map(
              load(info),
              ({ metric, blobs }) => ({
                step: info.step,
                metric,
                bytes: Object.values(blobs).map((b) => b.length)
              })
            ))
      )
  })
}

const model = (value: number, vocabulary: number): Weights.SaveOptions<never, never> => ({
  config: smallConfig({ num_hidden_layers: 1, vocab_size: vocabulary, tie_word_embeddings: true }),
  maxShardBytes: 2000,
  read: (spec) => Effect.succeed(numbersOf(spec).fill(value)),
  files: { "made.json": JSON.stringify({ value }) }
})

for (const exists of [false, true]) {
  faultsContract({
    name: exists ? "the save of a model over another" : "the save of a model",
    before: (root) => exists ? Weights.save(`${root}/models/m`, model(1, 2)) : Effect.void,
    write: (root) => Weights.save(`${root}/models/m`, model(2, 3)),
    read: (root) =>
      Effect.gen(function*() {
        const { config, tensors } = yield* Weights.read(`${root}/models/m`)
        const values = yield* Stream.runCollect(Stream.map(tensors, ({ data }) => data[0]))
        const made = yield* FileSystem.FileSystem.use((fs) => fs.readFileString(`${root}/models/m/made.json`))
        return { made, vocabulary: config.vocabularySize, values: [...new Set(values)] }
      }),
    incomplete: ["ModelFileMissing"],
    sample: 6
  })
}

const folder = Effect.fnUntraced(function*(root: string, content: string) {
  const fs = yield* FileSystem.FileSystem
  const [made, place] = [`${root}/.made`, `${root}/place`]
  yield* ReplaceDirectory.recover(place)
  yield* fs.remove(made, { recursive: true, force: true })
  yield* fs.makeDirectory(`${made}/deep`, { recursive: true })
  for (const name of ["a", "deep/b"]) yield* fs.writeFileString(`${made}/${name}`, content)
  yield* ReplaceDirectory.put(made, place)
}, SettledFiles.settled)

faultsContract({
  name: "a directory that is replaced",
  before: (root) => folder(root, "old"),
  write: (root) => folder(root, "new"),
  read: (root) =>
    FileSystem.FileSystem.use((fs) =>
      Effect.forEach(["a", "deep/b"], (name) => fs.readFileString(`${root}/place/${name}`))
    ),
  incomplete: ["PlatformError"],
  // what is in the making is its maker's to remove
  keeps: /^\.made/
})
