import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Path, type Scope, Stream } from "effect"
import * as Weights from "../../../src/layers/model/Weights.ts"
import { editSafetensors, savedModel } from "./modelFiles.ts"

const test = <E>(effect: Effect.Effect<void, E, FileSystem.FileSystem | Path.Path | Scope.Scope>) =>
  effect.pipe(Effect.provide(NodeServices.layer))

const failure = (path: string) =>
  Effect.flip(Effect.flatMap(Weights.read(path), ({ tensors }) => Stream.runDrain(tensors)))

describe("bad model files", () => {
  const cases: ReadonlyArray<{
    readonly what: string
    readonly tag: string
    readonly message: ReadonlyArray<string>
    readonly spoil: (weights: string, directory: string) => Effect.Effect<unknown, unknown, FileSystem.FileSystem>
  }> = [
    {
      what: "a file cut within a tensor",
      tag: "ModelFileTruncated",
      message: ["model.safetensors is truncated within lm_head.weight", "bytes expected"],
      spoil: (weights) => editSafetensors(weights, () => undefined, (data) => data.subarray(0, data.length - 5))
    },
    {
      what: "a file cut within the header",
      tag: "ModelFileTruncated",
      message: ["truncated within the header"],
      spoil: (weights) => FileSystem.FileSystem.use((fs) => fs.truncate(weights, 100))
    },
    {
      what: "a file of three bytes",
      tag: "ModelFileTruncated",
      message: ["truncated within the header: 8 bytes expected, 3 found"],
      spoil: (weights) => FileSystem.FileSystem.use((fs) => fs.truncate(weights, 3))
    },
    {
      what: "a header length beyond all measure",
      tag: "ModelFileInvalid",
      message: ["expected a safetensors header of 2 to 100000000 bytes, found the length 18446744073709551615"],
      spoil: (weights) => FileSystem.FileSystem.use((fs) => fs.writeFile(weights, new Uint8Array(64).fill(255)))
    },
    {
      what: "a pointer of Git LFS in place of the weights",
      tag: "ModelFileInvalid",
      message: ["it is a pointer of Git LFS and not the weights; run \"git lfs pull\""],
      spoil: (weights) =>
        FileSystem.FileSystem.use((fs) =>
          fs.writeFileString(weights, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
        )
    },
    {
      what: "a web page in place of the weights",
      tag: "ModelFileInvalid",
      message: ["it is a web page and not the weights"],
      spoil: (weights) =>
        FileSystem.FileSystem.use((fs) => fs.writeFileString(weights, "<!DOCTYPE html><html>Not found</html>"))
    },
    {
      what: "a folder in place of the weights",
      tag: "ModelFileIo",
      message: ["model.safetensors: this is a directory, a file is needed"],
      spoil: (weights) =>
        FileSystem.FileSystem.use((fs) => Effect.andThen(fs.remove(weights), fs.makeDirectory(weights)))
    },
    {
      what: "a tensor that is named twice",
      tag: "ModelFileInvalid",
      message: ["the header names model.norm.weight twice"],
      spoil: (weights) =>
        FileSystem.FileSystem.use((fs) =>
          Effect.flatMap(fs.readFile(weights), (bytes) => {
            const name = `"model.layers.0.input_layernorm.weight"`
            const text = Buffer.from(bytes).toString("latin1").replace(name, `"model.norm.weight"`.padEnd(name.length))
            return fs.writeFile(weights, Buffer.from(text, "latin1"))
          })
        )
    },
    {
      what: "a header that is no JSON",
      tag: "ModelFileInvalid",
      message: ["the header is not a JSON object"],
      spoil: (weights) =>
        FileSystem.FileSystem.use((fs) => fs.writeFile(weights, Uint8Array.of(4, 0, 0, 0, 0, 0, 0, 0, 33, 33, 33, 33)))
    },
    {
      what: "an entry without a shape",
      tag: "ModelFileInvalid",
      message: ["the header's entry for model.norm.weight", "shape"],
      spoil: (weights) =>
        editSafetensors(
          weights,
          (header) => ({ ...header, "model.norm.weight": { dtype: "F32", data_offsets: [0, 4] } })
        )
    },
    {
      what: "overlapping tensors",
      tag: "TensorOffsetsInvalid",
      message: ["where the tensor before it ends"],
      spoil: (weights) =>
        editSafetensors(weights, (header) => {
          const [begin, end] = header["model.norm.weight"]!.data_offsets
          header["model.norm.weight"] = { ...header["model.norm.weight"]!, data_offsets: [begin - 4, end - 4] }
        })
    },
    {
      what: "offsets that do not fit the shape",
      tag: "TensorOffsetsInvalid",
      message: ["the offsets of model.norm.weight are wrong: expected 32 bytes for F32 of shape [8]", "28 bytes"],
      spoil: (weights) =>
        editSafetensors(weights, (header) => {
          const [begin, end] = header["model.norm.weight"]!.data_offsets
          header["model.norm.weight"] = { ...header["model.norm.weight"]!, data_offsets: [begin, end - 4] }
        })
    },
    {
      what: "offsets beyond the end of the file",
      tag: "ModelFileTruncated",
      message: ["truncated within extra"],
      spoil: (weights) =>
        editSafetensors(weights, (header) => {
          const end = Math.max(...Object.values(header).map((entry) => entry.data_offsets?.[1] ?? 0))
          header["extra"] = { dtype: "F32", shape: [1000], data_offsets: [end, end + 4000] }
        })
    },
    {
      what: "bytes that belong to no tensor",
      tag: "ModelFileInvalid",
      message: ["3 bytes behind the last tensor belong to none"],
      spoil: (weights) => editSafetensors(weights, () => undefined, (data) => Buffer.concat([data, new Uint8Array(3)]))
    },
    {
      what: "a tensor of integers",
      tag: "TensorTypeUnsupported",
      message: ["model.norm.weight is of type I32; expected F32, F16, BF16"],
      spoil: (weights) =>
        editSafetensors(weights, (header) => {
          header["model.norm.weight"] = { ...header["model.norm.weight"]!, dtype: "I32" }
        })
    },
    {
      what: "a tensor of an unknown type",
      tag: "TensorTypeUnsupported",
      message: ["model.norm.weight is of type Q4"],
      spoil: (weights) =>
        editSafetensors(weights, (header) => {
          header["model.norm.weight"] = { ...header["model.norm.weight"]!, dtype: "Q4" }
        })
    },
    {
      what: "a missing tensor",
      tag: "TensorMissing",
      message: ["the tensor model.layers.1.mlp.up_proj.weight of shape [12, 8] is missing"],
      spoil: (weights) =>
        editSafetensors(weights, (header) => {
          header["old"] = header["model.layers.1.mlp.up_proj.weight"]!
          delete header["model.layers.1.mlp.up_proj.weight"]
        })
    },
    {
      what: "an unexpected tensor",
      tag: "TensorUnexpected",
      message: ["the tensor model.layers.0.self_attn.q_proj.bias of shape [1] has no place in this architecture"],
      spoil: (weights) =>
        editSafetensors(weights, (header) => {
          const end = Math.max(...Object.values(header).map((entry) => entry.data_offsets?.[1] ?? 0))
          header["model.layers.0.self_attn.q_proj.bias"] = { dtype: "F32", shape: [1], data_offsets: [end, end + 4] }
        }, (data) => Buffer.concat([data, new Uint8Array(4)]))
    },
    {
      what: "a shape that contradicts the configuration",
      tag: "TensorShapeMismatch",
      message: ["model.layers.0.mlp.gate_proj.weight has the shape [8, 12], expected [12, 8]"],
      spoil: (weights) =>
        editSafetensors(weights, (header) => {
          const name = "model.layers.0.mlp.gate_proj.weight"
          header[name] = { ...header[name]!, shape: [8, 12] }
        })
    },
    {
      what: "no weights but a pickle",
      tag: "ModelFileMissing",
      message: [
        "there is neither model.safetensors nor",
        "pytorch_model.bin is not supported: save the model as safetensors"
      ],
      spoil: (weights, directory) =>
        FileSystem.FileSystem.use((fs) => fs.rename(weights, `${directory}/pytorch_model.bin`))
    },
    {
      what: "no config.json",
      tag: "ModelFileMissing",
      message: ["config.json: there is no such file; a model folder holds"],
      spoil: (_, directory) => FileSystem.FileSystem.use((fs) => fs.remove(`${directory}/config.json`))
    },
    {
      what: "a broken config.json",
      tag: "ModelFileInvalid",
      message: ["config.json is not valid: it is not JSON"],
      spoil: (_, directory) => FileSystem.FileSystem.use((fs) => fs.writeFileString(`${directory}/config.json`, "{"))
    },
    {
      what: "an unknown architecture",
      tag: "UnknownArchitecture",
      message: [`config.json: the architecture "mamba" is not supported; supported are LlamaForCausalLM`],
      spoil: (_, directory) =>
        FileSystem.FileSystem.use((fs) => fs.writeFileString(`${directory}/config.json`, `{"model_type":"mamba"}`))
    },
    {
      what: "a broken index",
      tag: "ModelFileInvalid",
      message: ["model.safetensors.index.json is not valid", "weight_map"],
      spoil: (weights, directory) =>
        FileSystem.FileSystem.use((fs) =>
          fs.remove(weights).pipe(Effect.andThen(fs.writeFileString(`${directory}/model.safetensors.index.json`, "{}")))
        )
    },
    {
      what: "an index that leaves its folder",
      tag: "ModelFileInvalid",
      message: [`weight_map names "../x.safetensors" for a; expected a file beside the index`],
      spoil: (weights, directory) =>
        FileSystem.FileSystem.use((fs) =>
          fs.remove(weights).pipe(Effect.andThen(
            fs.writeFileString(`${directory}/model.safetensors.index.json`, `{"weight_map":{"a":"../x.safetensors"}}`)
          ))
        )
    },
    {
      what: "an index that names a file that is not there",
      tag: "ModelFileMissing",
      message: [
        "model-00001-of-00001.safetensors: there is no such file, and",
        "model.safetensors.index.json names it for 1 tensors"
      ],
      spoil: (weights, directory) =>
        FileSystem.FileSystem.use((fs) =>
          fs.remove(weights).pipe(Effect.andThen(fs.writeFileString(
            `${directory}/model.safetensors.index.json`,
            `{"weight_map":{"a":"model-00001-of-00001.safetensors"}}`
          )))
        )
    },
    {
      what: "an index that promises a tensor that its shard lacks",
      tag: "ModelFileInvalid",
      message: ["shard.safetensors is not valid: it lacks absent, which", "says it holds"],
      spoil: (weights, directory) =>
        FileSystem.FileSystem.use((fs) =>
          fs.rename(weights, `${directory}/shard.safetensors`).pipe(Effect.andThen(fs.writeFileString(
            `${directory}/model.safetensors.index.json`,
            `{"weight_map":{"absent":"shard.safetensors"}}`
          )))
        )
    }
  ]

  for (const { message, spoil, tag, what } of cases) {
    it.effect(what, () =>
      test(Effect.gen(function*() {
        const { join } = yield* Path.Path
        const directory = yield* savedModel()
        yield* spoil(join(directory, "model.safetensors"), directory).pipe(Effect.orDie)
        const error = yield* failure(directory)
        assert.strictEqual(error._tag, tag, error.message)
        for (const part of message) assert.include(error.message, part)
        assert.include(error.message, directory)
      })))
  }

  it.effect("a folder that is not there, and a file that is no model", () =>
    test(Effect.gen(function*() {
      const { join } = yield* Path.Path
      const directory = yield* savedModel()
      assert.include((yield* failure(join(directory, "nothing"))).message, "nothing: there is no such file")
      assert.include(
        (yield* failure(join(directory, "config.json"))).message,
        "expected a folder with config.json and safetensors"
      )
    })))
})
