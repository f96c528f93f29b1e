import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Path, PlatformError, type Scope, Stream } from "effect"
import { homedir } from "node:os"
import * as ModelTensors from "../../../src/domain/ModelTensors.ts"
import * as Weights from "../../../src/layers/model/Weights.ts"
import { hasShared, sharedPath } from "../../sharedData.ts"
import { numbersOf, savedModel, smallConfig } from "./modelFiles.ts"

const test = <E>(effect: Effect.Effect<void, E, FileSystem.FileSystem | Path.Path | Scope.Scope>) =>
  effect.pipe(Effect.provide(NodeServices.layer))

const collect = Effect.fnUntraced(function*(path: string) {
  const weights = yield* Weights.read(path)
  const tensors = yield* Stream.runCollect(weights.tensors)
  return { config: weights.config, tensors }
})

const filesOf = Effect.fnUntraced(function*(directory: string) {
  const fs = yield* FileSystem.FileSystem
  const { join } = yield* Path.Path
  const names = (yield* fs.readDirectory(directory)).sort()
  return yield* Effect.forEach(
    names,
    (name) =>
      Effect.map(fs.readFile(join(directory, name)), (bytes) => [name, Buffer.from(bytes).toString("base64")] as const)
  )
})

describe("Weights.save and Weights.read", () => {
  for (const precision of ["float32", "float16", "bfloat16"] as const) {
    it.effect(`reads what was saved as ${precision} and saves identical bytes again`, () =>
      test(Effect.gen(function*() {
        const { join } = yield* Path.Path
        const first = yield* savedModel({ precision, config: smallConfig({ tie_word_embeddings: true }) })
        const { config, tensors } = yield* collect(first)
        assert.strictEqual(config.precision, precision)
        assert.deepStrictEqual(
          tensors.map(({ name, shape }) => ({ name, shape })),
          ModelTensors.tensors(config)
        )
        for (const tensor of tensors) assert.deepStrictEqual(tensor.data, numbersOf(tensor))
        const byName = new Map(tensors.map((tensor) => [tensor.name, tensor.data]))
        const second = join(first, "..", "second")
        yield* Weights.save(second, { config, read: ({ name }) => Effect.succeed(byName.get(name)!) })
        assert.deepStrictEqual(yield* filesOf(second), yield* filesOf(first))
      })))
  }

  it.effect("aligns the numbers of every file to eight bytes, as long as its header may be", () =>
    test(Effect.gen(function*() {
      const lengths = new Set<number>()
      for (const layers of [1, 2, 3, 11]) {
        const directory = yield* savedModel({ config: smallConfig({ num_hidden_layers: layers }), maxShardBytes: 1200 })
        for (const [name, base64] of yield* filesOf(directory)) {
          if (!name.endsWith(".safetensors")) continue
          const bytes = Buffer.from(base64, "base64")
          const header = Number(bytes.readBigUInt64LE(0))
          assert.strictEqual(header % 8, 0, name)
          // what fills it up is white space of JSON
          lengths.add(bytes.toString("utf8", 8, 8 + header).trimEnd().length % 8)
        }
      }
      assert.isAbove(lengths.size, 2, "headers of several lengths")
    })))

  it.effect("puts the earlier model back where the new one cannot take its place", () =>
    test(Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { dirname } = yield* Path.Path
      const directory = yield* savedModel()
      const before = yield* filesOf(directory)
      let renames = 0
      const failing = FileSystem.make({
        ...fs,
        rename: (from, to) =>
          ++renames === 2
            ? Effect.fail(
              PlatformError.systemError({ _tag: "PermissionDenied", module: "FileSystem", method: "rename" })
            )
            : fs.rename(from, to)
      })
      const error = yield* Weights.save(directory, {
        config: smallConfig(),
        read: ({ shape }) => Effect.succeed(new Float32Array(ModelTensors.elements(shape)))
      }).pipe(Effect.provideService(FileSystem.FileSystem, failing), Effect.flip)
      assert.strictEqual(error._tag, "ModelFileIo")
      assert.deepStrictEqual(yield* filesOf(directory), before)
      assert.strictEqual((yield* fs.readDirectory(dirname(directory))).length, 1)
    })))

  it.effect("says where the earlier model is when a process died as it replaced it, and saves again", () =>
    test(Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { dirname, join } = yield* Path.Path
      const directory = yield* savedModel()
      const aside = join(dirname(directory), ".model.replaced")
      yield* fs.rename(directory, aside)
      yield* fs.writeFileString(join(aside, "notes.txt"), "mine")
      const error = yield* Effect.flip(Weights.read(directory))
      assert.strictEqual(error._tag, "ModelFileMissing")
      assert.include(error.message, `a save over it was cut off. What was there is ${aside}`)
      yield* Weights.save(directory, { config: smallConfig(), read: (spec) => Effect.succeed(numbersOf(spec)) })
      yield* Weights.read(directory)
      assert.strictEqual(yield* fs.readFileString(join(directory, "notes.txt")), "mine")
      assert.deepStrictEqual(yield* fs.readDirectory(dirname(directory)), ["model"])
    })))

  it.effect("spreads weights over shards and reads them again", () =>
    test(Effect.gen(function*() {
      const directory = yield* savedModel({ maxShardBytes: 1200 })
      const names = (yield* filesOf(directory)).map(([name]) => name)
      assert.include(names, "model.safetensors.index.json")
      assert.isAbove(names.filter((name) => /^model-0000\d-of-0000\d\.safetensors$/u.test(name)).length, 2)
      assert.notInclude(names, "model.safetensors")
      const { tensors } = yield* collect(directory)
      for (const tensor of tensors) assert.deepStrictEqual(tensor.data, numbersOf(tensor))
    })))

  it.effect("replaces a saved model, shards and all, and keeps other files", () =>
    test(Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { dirname, join } = yield* Path.Path
      const directory = yield* savedModel({ maxShardBytes: 1200 })
      yield* fs.writeFileString(join(directory, "README.md"), "mine")
      yield* fs.writeFileString(join(directory, "tokenizer.json"), "{}")
      const config = smallConfig({ num_hidden_layers: 1 })
      yield* Weights.save(directory, { config, read: (spec) => Effect.succeed(numbersOf(spec)) })
      assert.deepStrictEqual(
        (yield* filesOf(directory)).map(([name]) => name),
        ["README.md", "config.json", "model.safetensors", "tokenizer.json"]
      )
      assert.strictEqual((yield* collect(directory)).config.layers, 1)
      assert.deepStrictEqual(yield* fs.readDirectory(dirname(directory)), ["model"])
    })))

  it.effect("copies the tokenizer of another folder and none of its weights", () =>
    test(Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { join } = yield* Path.Path
      const source = yield* savedModel({ maxShardBytes: 1200 })
      for (const name of ["tokenizer_config.json", "chat_template.jinja", "notes.txt", "elsewhere"]) {
        yield* fs.writeFileString(join(source, name), name)
      }
      // as Hugging Face's cache links from a snapshot to what it holds
      yield* fs.symlink("elsewhere", join(source, "tokenizer.json"))
      yield* fs.makeDirectory(join(source, "tokenizers"))
      const directory = yield* savedModel({ companionsFrom: source })
      assert.deepStrictEqual((yield* filesOf(directory)).map(([name]) => name), [
        "chat_template.jinja",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json"
      ])
      yield* fs.remove(source, { recursive: true })
      assert.strictEqual(yield* fs.readFileString(join(directory, "tokenizer.json")), "elsewhere")
    })))

  it.effect("reads through links, file addresses and from the home directory", () =>
    test(Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { dirname, join, relative, toFileUrl } = yield* Path.Path
      const directory = yield* savedModel()
      const expected = yield* collect(directory)
      const links = join(dirname(directory), "links")
      yield* fs.makeDirectory(links)
      for (const name of yield* fs.readDirectory(directory)) {
        yield* fs.symlink(join("..", "model", name), join(links, name))
      }
      const home = homedir()
      const written = [
        links,
        (yield* toFileUrl(directory)).href,
        relative(process.cwd(), directory),
        `~/${relative(home, directory)}`
      ]
      for (const path of written) assert.deepStrictEqual(yield* collect(path), expected, path)
    })))

  it.effect("leaves the folder as it was when saving fails", () =>
    test(Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { dirname } = yield* Path.Path
      const directory = yield* savedModel()
      const before = yield* filesOf(directory)
      const read = (spec: ModelTensors.TensorSpec) =>
        spec.name === "model.norm.weight" ? Effect.fail("device lost" as const) : Effect.succeed(numbersOf(spec))
      assert.strictEqual(
        yield* Effect.flip(Weights.save(directory, { config: smallConfig({ vocab_size: 12 }), read })),
        "device lost"
      )
      assert.deepStrictEqual(yield* filesOf(directory), before)
      assert.deepStrictEqual(yield* fs.readDirectory(dirname(directory)), ["model"])
      const short = yield* Effect.flip(
        Weights.save(directory, { config: smallConfig(), read: () => Effect.succeed(new Float32Array(3)) })
      )
      assert.include(short.message, "model.embed_tokens.weight was given 3 numbers, its shape has 88")
    })))

  it.effect("refuses to save over a file", () =>
    test(Effect.gen(function*() {
      const { join } = yield* Path.Path
      const directory = yield* savedModel()
      const error = yield* Effect.flip(Weights.save(join(directory, "config.json"), {
        config: smallConfig(),
        read: (spec) => Effect.succeed(numbersOf(spec))
      }))
      assert.include(error.message, "it is a file; a model is saved into a folder")
    })))

  it.effect("adds the end-of-text ids of generation_config.json", () =>
    test(Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { join } = yield* Path.Path
      const directory = yield* savedModel({ config: smallConfig({ eos_token_id: 1 }) })
      yield* fs.writeFileString(join(directory, "generation_config.json"), `{"eos_token_id":[3,1]}`)
      assert.deepStrictEqual((yield* Weights.read(directory)).config.eosTokenIds, [1, 3])
    })))
})

describe("Weights.read of ../shared/data/tiny-models", () => {
  for (const name of ["hf/llama3", "hf/qwen2", "hf/qwen3", "verl_arithmetic", "searcher-base"]) {
    it.effect.skipIf(!hasShared(`tiny-models/${name}`))(name, () =>
      test(Effect.gen(function*() {
        const { config, tensors } = yield* collect(sharedPath(`tiny-models/${name}`))
        assert.strictEqual(
          tensors.reduce((sum, { data }) => sum + data.length, 0),
          ModelTensors.parameterCount(config)
        )
        for (const { data, name } of tensors) {
          assert.isTrue(data.every(Number.isFinite), name)
          assert.isTrue(data.some((value) => value !== 0), name)
        }
      })))
  }
})
