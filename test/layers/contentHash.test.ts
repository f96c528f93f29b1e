// Files are compressed as users do it.
// @effect-diagnostics nodeBuiltinImport:off
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Stream } from "effect"
import { gzipSync } from "node:zlib"
import { shippedModel } from "../../src/layers/assets.ts"
import * as ContentHash from "../../src/layers/contentHash.ts"
import { sha256 } from "../../src/layers/hash.ts"
import * as RetrieverBm25 from "../../src/layers/retriever/RetrieverBm25.ts"
import { passages } from "../support/passages.ts"

const inDirectory = <A, E>(
  use: (root: string, fs: FileSystem.FileSystem) => Effect.Effect<A, E, NodeServices.NodeServices>
) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    return yield* use(yield* fs.makeTempDirectoryScoped(), fs)
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))

describe("the hash of a content", () => {
  it.effect("is that of the bytes, whatever a file is called and whether it is compressed", () =>
    inDirectory((root, fs) =>
      Effect.gen(function*() {
        const text = "{\"question\":\"ü\"}\n".repeat(100_000)
        yield* fs.writeFileString(`${root}/a.jsonl`, text)
        yield* fs.writeFile(`${root}/b`, gzipSync(text))
        assert.strictEqual(yield* ContentHash.ofFile(`${root}/a.jsonl`), sha256(text))
        assert.strictEqual(yield* ContentHash.ofFile(`${root}/b`), sha256(text))
        assert.strictEqual((yield* Effect.flip(ContentHash.ofFile(`${root}/none`)))._tag, "FileUnreadable")
      })
    ))

  it.effect("of a model is that of its configuration, weights and tokenizer, and of nothing beside them", () =>
    inDirectory((root, fs) =>
      Effect.gen(function*() {
        const model = `${root}/copy`
        yield* fs.copy(shippedModel, model)
        const before = yield* ContentHash.ofModel(shippedModel)
        assert.strictEqual(yield* ContentHash.ofModel(model), before)
        assert.strictEqual(yield* ContentHash.ofModel(`file://${model}`), before)
        for (const name of ["README.md", "sft.json", "pytorch_model.bin", "training_args.bin"]) {
          yield* fs.writeFileString(`${model}/${name}`, "more")
        }
        yield* fs.makeDirectory(`${model}/checkpoints`)
        assert.strictEqual(yield* ContentHash.ofModel(model), before)
        for (const name of ["config.json", "tokenizer.json", "model.safetensors"]) {
          const bytes = yield* fs.readFile(`${model}/${name}`)
          yield* fs.writeFile(`${model}/${name}`, new Uint8Array([...bytes, 32]))
          assert.notStrictEqual(yield* ContentHash.ofModel(model), before, name)
          yield* fs.writeFile(`${model}/${name}`, bytes)
        }
        yield* fs.writeFileString(`${model}/chat_template.jinja`, "{{ messages }}")
        assert.notStrictEqual(yield* ContentHash.ofModel(model), before)
        assert.strictEqual((yield* Effect.flip(ContentHash.ofModel(`${root}/none`)))._tag, "ModelFileMissing")
      })
    ))

  it.effect("of a model in one file knows its tokenizer, and not its name", () =>
    inDirectory((root, fs) =>
      Effect.gen(function*() {
        const make = Effect.fnUntraced(function*(directory: string, name: string, tokenizer: string) {
          yield* fs.makeDirectory(`${root}/${directory}`)
          yield* fs.writeFileString(`${root}/${directory}/${name}`, "weights")
          yield* fs.writeFileString(`${root}/${directory}/tok512.bin`, tokenizer)
          return yield* ContentHash.ofModel(`${root}/${directory}/${name}`)
        })
        const first = yield* make("a", "stories.bin", "pieces")
        assert.strictEqual(yield* make("b", "zebra.bin", "pieces"), first)
        assert.notStrictEqual(yield* make("c", "stories.bin", "others"), first)
      })
    ))

  it.effect("of an index is the same for the same passages, and another for others", () =>
    inDirectory((root) =>
      Effect.gen(function*() {
        const build = (name: string, count: number) =>
          Effect.andThen(
            RetrieverBm25.build(Stream.make(passages.slice(0, count)), `${root}/${name}`),
            ContentHash.ofIndex(`${root}/${name}`)
          )
        const first = yield* build("a.idx", 3)
        assert.strictEqual(yield* build("b.idx", 3), first)
        assert.notStrictEqual(yield* build("c.idx", 2), first)
      })
    ))
})
