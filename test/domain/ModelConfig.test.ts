import { assert, describe, it } from "@effect/vitest"
import { Result, type Schema } from "effect"
import * as HuggingFaceConfig from "../../src/domain/HuggingFaceConfig.ts"
import * as ModelConfig from "../../src/domain/ModelConfig.ts"
import * as ModelTensors from "../../src/domain/ModelTensors.ts"
import * as Rope from "../../src/domain/Rope.ts"
import { hasShared, readShared } from "../sharedData.ts"

type Json = { readonly [key: string]: Schema.Json }

const llama31: Json = {
  architectures: ["LlamaForCausalLM"],
  attention_bias: false,
  bos_token_id: 128000,
  eos_token_id: [128001, 128008, 128009],
  hidden_act: "silu",
  hidden_size: 4096,
  initializer_range: 0.02,
  intermediate_size: 14336,
  max_position_embeddings: 131072,
  mlp_bias: false,
  model_type: "llama",
  num_attention_heads: 32,
  num_hidden_layers: 32,
  num_key_value_heads: 8,
  pretraining_tp: 1,
  rms_norm_eps: 1e-5,
  rope_scaling: {
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
    rope_type: "llama3"
  },
  rope_theta: 500000,
  tie_word_embeddings: false,
  torch_dtype: "bfloat16",
  use_cache: true,
  vocab_size: 128256
}

const qwen25: Json = {
  architectures: ["Qwen2ForCausalLM"],
  bos_token_id: 151643,
  eos_token_id: 151645,
  hidden_act: "silu",
  hidden_size: 896,
  intermediate_size: 4864,
  max_position_embeddings: 32768,
  max_window_layers: 21,
  model_type: "qwen2",
  num_attention_heads: 14,
  num_hidden_layers: 24,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-6,
  rope_theta: 1000000,
  sliding_window: 32768,
  tie_word_embeddings: true,
  torch_dtype: "bfloat16",
  use_sliding_window: false,
  vocab_size: 151936
}

const qwen3: Json = {
  architectures: ["Qwen3ForCausalLM"],
  attention_bias: false,
  bos_token_id: 151643,
  dtype: "bfloat16",
  eos_token_id: 151645,
  head_dim: 128,
  hidden_act: "silu",
  hidden_size: 1024,
  intermediate_size: 3072,
  max_position_embeddings: 40960,
  model_type: "qwen3",
  num_attention_heads: 16,
  num_hidden_layers: 28,
  num_key_value_heads: 8,
  pad_token_id: null,
  rms_norm_eps: 1e-6,
  rope_parameters: { rope_theta: 1000000, rope_type: "default" },
  tie_word_embeddings: true,
  vocab_size: 151936
}

const without = (json: Json, ...keys: ReadonlyArray<string>): Json =>
  Object.fromEntries(Object.entries(json).filter(([key]) => !keys.includes(key)))

const decode = (json: unknown) => Result.getOrThrow(HuggingFaceConfig.decode(json))

const failure = (json: unknown) => {
  const result = HuggingFaceConfig.decode(json)
  assert.isTrue(Result.isFailure(result), "expected a failure")
  return Result.getOrThrow(Result.flip(result))
}

/**
 * JSON as every parser reads it again: without negative zeros, which text has none of, and without keys that need escapes,
 * of which V8 13.6 takes "\n" for a backslash where it has read the same object with that key before.
 */
const plain = (value: Schema.Json): Schema.Json => {
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value === "object" && value !== null) return plainObject(value)
  return Object.is(value, -0) ? 0 : value
}

const plainObject = (object: object): Json =>
  Object.fromEntries(
    Object.entries(object).flatMap(([key, value]) => JSON.stringify(key) === `"${key}"` ? [[key, plain(value)]] : [])
  )

/** A configuration that keeps the rules between fields, from one that only keeps those of each field. */
const consistent = (config: ModelConfig.ModelConfig): ModelConfig.ModelConfig => {
  const keyValueHeads = config.keyValueHeads % 8 + 1
  const scaling = config.ropeScaling
  return new ModelConfig.ModelConfig({
    ...config,
    keyValueHeads,
    heads: keyValueHeads * (config.heads % 8 + 1),
    headDim: 2 * (config.headDim % 64 + 1),
    slidingWindow: null,
    others: plainObject(config.others),
    ropeScaling: scaling?._tag === "Llama3"
      ? { ...scaling, lowFrequencyFactor: 1, highFrequencyFactor: 4 }
      : scaling
  })
}

const assertRoundTrip = (config: ModelConfig.ModelConfig) => {
  const json: unknown = JSON.parse(JSON.stringify(HuggingFaceConfig.encode(config)))
  assert.deepStrictEqual(decode(json), config)
}

describe("HuggingFaceConfig.decode", () => {
  it("reads Llama 3.1's published configuration", () => {
    const config = decode(llama31)
    assert.strictEqual(config.architecture, "llama")
    assert.strictEqual(config.headDim, 128)
    assert.strictEqual(config.keyValueHeads, 8)
    assert.strictEqual(config.ropeTheta, 500000)
    assert.deepStrictEqual(config.eosTokenIds, [128001, 128008, 128009])
    assert.deepStrictEqual(config.ropeScaling, {
      _tag: "Llama3",
      factor: 8,
      lowFrequencyFactor: 1,
      highFrequencyFactor: 4,
      originalMaxPositions: 8192
    })
    assert.strictEqual(config.precision, "bfloat16")
    assert.strictEqual(ModelTensors.parameterCount(config), 8_030_261_248)
    assert.deepStrictEqual(config.others, { initializer_range: 0.02, pretraining_tp: 1, use_cache: true })
  })

  it("reads Qwen2.5-0.5B's published configuration", () => {
    const config = decode(qwen25)
    assert.strictEqual(config.headDim, 64)
    assert.isTrue(ModelConfig.queryKeyValueBias(config))
    assert.isFalse(ModelConfig.outputBias(config))
    assert.isFalse(ModelConfig.queryKeyNorm(config))
    assert.strictEqual(ModelConfig.contextLength(config), 32768)
    assert.strictEqual(ModelTensors.parameterCount(config), 494_032_768)
  })

  it("reads Qwen3-0.6B's published configuration in the form of transformers 5", () => {
    const config = decode(qwen3)
    assert.strictEqual(config.headDim, 128)
    assert.strictEqual(config.ropeTheta, 1000000)
    assert.isTrue(ModelConfig.queryKeyNorm(config))
    assert.isFalse(ModelConfig.queryKeyValueBias(config))
    assert.strictEqual(ModelTensors.parameterCount(config), 596_049_920)
  })

  it("reads the same values from the old and the new form", () => {
    const { original_max_position_embeddings, ...scaling } = llama31["rope_scaling"] as Json
    const renamed = {
      ...without(llama31, "rope_scaling", "rope_theta", "torch_dtype"),
      dtype: "bfloat16",
      rope_parameters: {
        ...scaling,
        original_max_position_embeddings: original_max_position_embeddings!,
        rope_theta: 500000
      }
    }
    assert.deepStrictEqual(decode(renamed), decode(llama31))
    assert.deepStrictEqual(
      decode({ ...qwen25, rope_scaling: { type: "linear", factor: 4 } }).ropeScaling,
      { _tag: "Linear", factor: 4 }
    )
  })

  it("takes the defaults of transformers' configuration classes", () => {
    const config = decode(
      without(
        llama31,
        "num_key_value_heads",
        "rope_scaling",
        "rope_theta",
        "torch_dtype",
        "eos_token_id",
        "rms_norm_eps"
      )
    )
    assert.strictEqual(config.keyValueHeads, 32)
    assert.strictEqual(config.ropeTheta, 10000)
    assert.strictEqual(config.precision, "float32")
    assert.strictEqual(config.rmsNormEps, 1e-6)
    assert.deepStrictEqual(config.eosTokenIds, [])
    assert.isFalse(decode(without(llama31, "tie_word_embeddings")).tieWordEmbeddings)
    assert.strictEqual(decode(without({ ...qwen3, hidden_size: 4096 }, "head_dim")).headDim, 128)
  })

  it("limits the context of a windowed checkpoint to its window", () => {
    const windowed = { ...qwen25, use_sliding_window: true, sliding_window: 4096 }
    assert.strictEqual(ModelConfig.contextLength(decode(windowed)), 4096)
    assert.strictEqual(ModelConfig.contextLength(decode({ ...windowed, max_window_layers: 24 })), 32768)
    const layers = Array.from({ length: 24 }, () => "full_attention")
    assert.strictEqual(ModelConfig.contextLength(decode({ ...windowed, layer_types: layers })), 32768)
    assert.strictEqual(
      ModelConfig.contextLength(decode({ ...windowed, layer_types: [...layers.slice(1), "sliding_attention"] })),
      4096
    )
  })

  it("adds the end-of-text ids of generation_config.json", () => {
    const config = Result.getOrThrow(
      HuggingFaceConfig.withGenerationConfig(decode(qwen25), { eos_token_id: [151645, 151643] })
    )
    assert.deepStrictEqual(config.eosTokenIds, [151645, 151643])
    const failed = HuggingFaceConfig.withGenerationConfig(decode(qwen25), { eos_token_id: "x" })
    assert.include(Result.getOrThrow(Result.flip(failed)).message, `generation_config.json: "eos_token_id"`)
  })

  it("names an unknown architecture and what is supported", () => {
    for (
      const json of [
        { ...llama31, architectures: ["MixtralForCausalLM"], model_type: "mixtral" },
        { model_type: "mixtral" },
        { ...llama31, architectures: ["LlamaForTokenClassification"] },
        { ...llama31, model_type: "mistral" }
      ]
    ) {
      const error = failure(json)
      assert.strictEqual(error._tag, "UnknownArchitecture")
      assert.include(error.message, "LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM")
    }
    assert.include(failure({ ...llama31, architectures: ["GPT2LMHeadModel"] }).message, "GPT2LMHeadModel")
  })

  it("names each required key that is missing or has the wrong type", () => {
    for (
      const key of [
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "max_position_embeddings"
      ]
    ) {
      for (const json of [without(llama31, key), { ...llama31, [key]: "many" }, { ...llama31, [key]: -1 }]) {
        const error = failure(json)
        assert.strictEqual(error._tag, "InvalidModelConfig")
        assert.include(error.message, `config.json: "${key}": `)
      }
    }
    assert.include(failure(without(llama31, "architectures", "model_type")).message, `"model_type": Missing key`)
    assert.include(
      failure({ ...llama31, rope_scaling: { rope_type: "llama3", factor: "8" } }).message,
      `"rope_scaling.factor"`
    )
    assert.include(failure({ ...llama31, num_hidden_layers: 1e12 }).message, `"num_hidden_layers": Expected`)
    assert.include(failure([]).message, "config.json: ")
  })

  it("names contradictions and unsupported features", () => {
    const cases: ReadonlyArray<readonly [Json, string]> = [
      [{ ...llama31, num_key_value_heads: 5 }, `"num_key_value_heads": Expected a divisor of num_attention_heads 32`],
      [{ ...llama31, num_attention_heads: 24 }, `"num_attention_heads": Expected a divisor of hidden_size 4096`],
      [{ ...qwen3, head_dim: 63 }, `"head_dim": Expected an even number`],
      [{ ...llama31, hidden_act: "gelu" }, `"hidden_act" is "gelu"`],
      [{ ...llama31, torch_dtype: "float8_e4m3fn" }, `"torch_dtype" is "float8_e4m3fn"`],
      [{ ...llama31, quantization_config: { bits: 4 } }, `"quantization_config" is set`],
      [{ ...qwen25, rope_scaling: { type: "longrope", factor: 4 } }, `"rope_scaling.rope_type" is "longrope"`],
      [{ ...qwen25, rope_scaling: { type: "dynamic" } }, `"rope_scaling.factor": Missing key: rope type dynamic`],
      [{ ...qwen3, rope_parameters: { partial_rotary_factor: 0.5 } }, `"partial_rotary_factor" is 0.5`],
      [{ ...llama31, rope_scaling: { rope_type: "llama3", factor: 8 } }, `"rope_scaling.low_freq_factor": Missing key`],
      [{ ...llama31, rope_scaling: { type: "linear" } }, `"rope_scaling.factor": Missing key`]
    ]
    for (const [json, message] of cases) assert.include(failure(json).message, message)
  })

  it.prop("encoding and decoding again gives the same configuration", [ModelConfig.ModelConfig], ([arbitrary]) => {
    assertRoundTrip(consistent(arbitrary))
  }, { arbitrary: { runs: 300 } })

  it.skipIf(!hasShared("tiny-models"))("reads every configuration of ../shared/data/tiny-models", () => {
    for (
      const name of ["hf/llama3", "hf/qwen2", "hf/qwen3", "verl_arithmetic", "searcher-base"]
    ) {
      assertRoundTrip(decode(JSON.parse(readShared(`tiny-models/${name}/config.json`))))
    }
  })
})

describe("Rope.inverseFrequencies", () => {
  const base = { ...llama31, hidden_size: 64, num_attention_heads: 4, num_key_value_heads: 2 }

  it("is theta^(-2i/d) without scaling", () => {
    const frequencies = Rope.inverseFrequencies(decode(without(base, "rope_scaling")))
    assert.strictEqual(frequencies.length, 8)
    for (const [pair, frequency] of frequencies.entries()) assert.closeTo(frequency, 500000 ** (-pair / 8), 1e-15)
  })

  it("is rounded to the nearest number of a format on request", () => {
    const exact = decode(without(base, "rope_scaling"))
    const plain = Rope.inverseFrequencies(exact)
    for (const [ropePrecision, bits] of [["bfloat16", 8], ["float16", 11], ["float32", 24]] as const) {
      const rounded = Rope.inverseFrequencies(new ModelConfig.ModelConfig({ ...exact, ropePrecision }))
      // The last of them is below what float16 holds with all its bits.
      for (const [pair, frequency] of plain.slice(0, 5).entries()) {
        const unit = 2 ** (Math.floor(Math.log2(frequency)) + 1 - bits)
        assert.strictEqual(rounded[pair], Math.round(frequency / unit) * unit, `${ropePrecision} ${pair}`)
      }
    }
  })

  it("divides by the factor when linear", () => {
    const linear = decode({ ...base, rope_scaling: { rope_type: "linear", factor: 4 } })
    const plain = Rope.inverseFrequencies(decode(without(base, "rope_scaling")))
    assert.deepStrictEqual(Rope.inverseFrequencies(linear), plain.map((frequency) => frequency / 4))
  })

  it("keeps high frequencies, divides low ones and interpolates between for llama3", () => {
    const plain = Rope.inverseFrequencies(decode(without(base, "rope_scaling")))
    const scaled = Rope.inverseFrequencies(decode(base))
    // Wavelengths 2pi * 500000^(i/8): below 8192/4 up to i = 3, above 8192/1 from i = 5 on, between at i = 4.
    assert.deepStrictEqual(scaled.slice(0, 4), plain.slice(0, 4))
    assert.deepStrictEqual(scaled.slice(5), plain.slice(5).map((frequency) => frequency / 8))
    const smooth = (8192 / (2 * Math.PI * 500000 ** 0.5) - 1) / 3
    assert.closeTo(scaled[4]!, (1 - smooth) * plain[4]! / 8 + smooth * plain[4]!, 1e-15)
  })
})

describe("YaRN", () => {
  const stretched = { ...qwen25, rope_scaling: { type: "yarn", factor: 4, original_max_position_embeddings: 32768 } }
  // What transformers 5.23 computes (`ROPE_INIT_FUNCTIONS["yarn"]`, float32) for these pairs of 32.
  const pairs = [0, 5, 10, 12, 15, 18, 20, 25, 31]
  const cases = [
    [
      "as Qwen2.5 is stretched",
      stretched.rope_scaling,
      1.138629436111989,
      [1, .1154782, .013335215, .0051547955, .0010266177, 1.7570687e-4, 4.4456985e-5, 5.1338125e-6, 3.8498163e-7]
    ],
    [
      "with every key",
      {
        rope_type: "yarn",
        factor: 8,
        original_max_position_embeddings: 4096,
        beta_fast: 16,
        beta_slow: 2,
        truncate: false,
        mscale: 1,
        mscale_all_dim: 0.5
      },
      1.094179988101349,
      [1, .1154782, .0099120783, .0021367006, 1.9249081e-4, 5.2712061e-5, 2.2228493e-5, 2.5669062e-6, 1.9249082e-7]
    ]
  ] as const
  for (const [what, scaling, factor, expected] of cases) {
    it(`turns as transformers does: ${what}`, () => {
      const config = decode({ ...qwen25, rope_scaling: scaling })
      const found = Rope.inverseFrequencies(config)
      for (const [i, pair] of pairs.entries()) assert.closeTo(found[pair]! / expected[i]!, 1, 1e-6, `pair ${pair}`)
      assert.closeTo(Rope.attentionFactor(config), factor, 1e-12)
      assertRoundTrip(config)
    })
  }

  it("stretches the context where the file keeps the one that the model was made for", () => {
    assert.strictEqual(ModelConfig.contextLength(decode(stretched)), 131072)
    assert.strictEqual(ModelConfig.contextLength(decode({ ...stretched, max_position_embeddings: 200000 })), 200000)
    assert.strictEqual(ModelConfig.contextLength(decode(qwen25)), 32768)
  })

  it("takes the attention factor of the file, and dynamic scaling as none within the context", () => {
    const scaling = { ...stretched.rope_scaling, attention_factor: 1.25 }
    assert.strictEqual(Rope.attentionFactor(decode({ ...qwen25, rope_scaling: scaling })), 1.25)
    const dynamic = decode({ ...qwen25, rope_scaling: { type: "dynamic", factor: 2 } })
    assert.deepStrictEqual(Rope.inverseFrequencies(dynamic), Rope.inverseFrequencies(decode(qwen25)))
    assert.strictEqual(Rope.attentionFactor(dynamic), 1)
    assert.strictEqual(ModelConfig.contextLength(dynamic), 32768)
    assertRoundTrip(dynamic)
  })
})

describe("ModelTensors.tensors", () => {
  it("lists each weight of a layer with its shape", () => {
    const config = decode({ ...qwen3, attention_bias: true, tie_word_embeddings: false })
    assert.deepStrictEqual(
      ModelTensors.layerTensors(config, 3).map(({ name, shape }) => `${name.slice(15)} ${shape.join("x")}`),
      [
        "input_layernorm.weight 1024",
        "self_attn.q_proj.weight 2048x1024",
        "self_attn.q_proj.bias 2048",
        "self_attn.k_proj.weight 1024x1024",
        "self_attn.k_proj.bias 1024",
        "self_attn.v_proj.weight 1024x1024",
        "self_attn.v_proj.bias 1024",
        "self_attn.q_norm.weight 128",
        "self_attn.k_norm.weight 128",
        "self_attn.o_proj.weight 1024x2048",
        "self_attn.o_proj.bias 1024",
        "post_attention_layernorm.weight 1024",
        "mlp.gate_proj.weight 3072x1024",
        "mlp.up_proj.weight 3072x1024",
        "mlp.down_proj.weight 1024x3072"
      ]
    )
    assert.deepStrictEqual(ModelTensors.tensors(config).at(-1), { name: "lm_head.weight", shape: [151936, 1024] })
    assert.strictEqual(ModelTensors.tensors(config).length, 28 * 15 + 3)
  })

  it("lists the feed-forward part's biases where Llama has them", () => {
    const biases = (config: Json) =>
      ModelTensors.layerTensors(decode(config), 1).flatMap(({ name, shape }) =>
        name.endsWith("bias") ? [`${name} ${shape.join("x")}`] : []
      )
    assert.deepStrictEqual(biases({ ...llama31, mlp_bias: true }), [
      "model.layers.1.mlp.gate_proj.bias 14336",
      "model.layers.1.mlp.up_proj.bias 14336",
      "model.layers.1.mlp.down_proj.bias 4096"
    ])
    assert.deepStrictEqual(biases(llama31), [])
    assert.strictEqual(HuggingFaceConfig.encode(decode({ ...llama31, mlp_bias: true }))["mlp_bias"], true)
  })

  it("tolerates a copy of a tied head and old rotary buffers only", () => {
    const tied = decode(qwen3)
    assert.isTrue(ModelTensors.isRedundant(tied, "lm_head.weight"))
    assert.isFalse(ModelTensors.isRedundant(decode(llama31), "lm_head.weight"))
    assert.isTrue(ModelTensors.isRedundant(tied, "model.layers.0.self_attn.rotary_emb.inv_freq"))
    assert.isFalse(ModelTensors.isRedundant(tied, "model.layers.0.self_attn.q_proj.bias"))
  })
})
