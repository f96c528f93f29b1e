import { assert, describe, it } from "@effect/vitest"
import { Metric, Schema } from "effect"
import * as Checkpoints from "../../src/services/Checkpoints.ts"
import * as Device from "../../src/services/Device.ts"
import * as Optimizer from "../../src/services/Optimizer.ts"
import * as Policy from "../../src/services/Policy.ts"
import * as Questions from "../../src/services/Questions.ts"
import * as Retriever from "../../src/services/Retriever.ts"
import * as RunLog from "../../src/services/RunLog.ts"
import * as Tokenizer from "../../src/services/Tokenizer.ts"

const memory = new Device.OutOfDeviceMemory({ device: "gpu", requestedBytes: 3, usedBytes: 1, limitBytes: 2 })
const overflow = new Policy.ContextOverflow({ tokens: 9, limit: 8 })
const timeout = new Retriever.RetrieverTimeout({ retriever: "wiki", milliseconds: 30 })
const unavailable = new Retriever.RetrieverUnavailable({ retriever: "wiki", reason: "refused" })
const rejected = (status: number, body = "") => new Retriever.RetrieverRejected({ retriever: "wiki", status, body })
const malformed = (body: string) => new Retriever.RetrieverMalformedJson({ retriever: "wiki", body, reason: "cut" })
const shape = new Retriever.RetrieverUnexpectedShape({ retriever: "wiki", reason: "no list" })
const quota = new Retriever.RetrieverQuotaExceeded({ retriever: "wiki", reason: "10 a day" })
const failed = (cause: unknown) => new Retriever.RetrieverFailed({ retriever: "wiki", cause })

/** Each error with what its users read. */
const words: ReadonlyArray<readonly [Error, string]> = [
  [
    memory,
    "gpu is out of memory: 3 bytes requested, 1 of 2 in use. Ask for less at once (shorter texts, fewer sessions, " +
    "smaller micro-batches), or take a smaller model or a device with more memory"
  ],
  [new Device.DeviceFailed({ device: "gpu", reason: "lost" }), "gpu failed: lost"],
  [
    new Device.DeviceUnavailable({ device: "torch", reason: "not installed", mend: "Install it." }),
    "the device torch is not available: not installed. Install it."
  ],
  [overflow, "a context of 9 tokens exceeds the model's 8"],
  [new Policy.PolicyUnavailable({ reason: "gone" }), "the policy is not available: gone"],
  [
    new Policy.ReplayMismatch({ promptKey: "p/1", reason: "other text" }),
    "the recording does not fit the rollout p/1: other text"
  ],
  [
    new Optimizer.NonFiniteGradient({ network: "critic", norm: "NaN", loss: "1.5" }),
    "the critic's gradient has the norm NaN at a loss of 1.5; the update was skipped"
  ],
  [
    new Optimizer.MissingSignals({ signals: ["a", "b"] }),
    "the loss needs a and b of every sequence in the batch"
  ],
  [new Optimizer.StateMismatch({ reason: "3 layers" }), "the saved state does not fit: 3 layers"],
  [new Optimizer.LearnerUnavailable({ reason: "gone" }), "the learner is not available: gone"],
  [new Checkpoints.CheckpointCorrupt({ path: "a/b", reason: "short" }), "a/b cannot be used: short"],
  [new Checkpoints.CheckpointIo({ path: "a/b", reason: "full" }), "a/b: full"],
  [new RunLog.RunLogError({ path: "a/b", reason: "full" }), "a/b: full"],
  [new Questions.QuestionsUnreadable({ path: "a.jsonl", line: 7, reason: "no JSON" }), "a.jsonl:7: no JSON"],
  [new Questions.QuestionsUnreadable({ path: "a.jsonl", reason: "missing" }), "a.jsonl: missing"],
  [
    new Tokenizer.ChatTemplateError({ reason: "no user" }),
    "the chat template cannot render this conversation: no user"
  ],
  [timeout, "wiki did not answer within 30 ms"],
  [unavailable, "wiki is not available: refused"],
  [rejected(404), "wiki refused with status 404"],
  [rejected(404, "what?"), "wiki refused with status 404: what?"],
  [malformed("{"), "wiki answered with broken JSON (cut): {"],
  [malformed(""), "wiki answered with broken JSON (cut): empty body"],
  [shape, "wiki answered in an unexpected shape: no list"],
  [quota, "wiki has no searches left: 10 a day"],
  [failed(new Error("bug")), "wiki failed: bug"],
  [failed("bug"), "wiki failed: bug"]
]

describe("errors of services", () => {
  it.each(words)("%o", (error, message) => assert.strictEqual(error.message, message))

  it.each<readonly [string, Schema.Codec<Error, unknown>, ReadonlyArray<Error>]>([
    ["devices", Schema.toCodecJson(Device.DeviceError), [
      memory,
      new Device.DeviceFailed({ device: "g", reason: "r" })
    ]],
    ["policies", Schema.toCodecJson(Policy.PolicyError), [
      overflow,
      memory,
      new Policy.PolicyUnavailable({ reason: "gone" }),
      new Policy.ReplayMismatch({ promptKey: "p", reason: "r" })
    ]],
    ["learners", Schema.toCodecJson(Optimizer.LearnerError), [
      new Optimizer.NonFiniteGradient({ network: "actor", norm: "NaN", loss: "0" }),
      new Optimizer.NonFiniteGradient({ network: "critic", norm: "NaN", loss: "0" }),
      memory,
      overflow,
      new Optimizer.MissingSignals({ signals: ["a"] }),
      new Optimizer.StateMismatch({ reason: "r" }),
      new Optimizer.LearnerUnavailable({ reason: "r" })
    ]],
    ["checkpoints", Schema.toCodecJson(Checkpoints.CheckpointError), [
      new Checkpoints.CheckpointCorrupt({ path: "p", reason: "r" }),
      new Checkpoints.CheckpointIo({ path: "p", reason: "r" })
    ]],
    ["retrievers", Schema.toCodecJson(Retriever.RetrieverError), [
      timeout,
      unavailable,
      rejected(500, "b"),
      malformed("b"),
      shape,
      quota,
      failed(new Error("bug"))
    ]]
  ])("of %s go through JSON and come back as they were", (_, codec, errors) => {
    for (const error of errors) {
      const back = Schema.decodeUnknownSync(codec)(JSON.parse(JSON.stringify(Schema.encodeUnknownSync(codec)(error))))
      assert.deepStrictEqual([back.name, back.message], [error.name, error.message])
      assert.deepStrictEqual(Object.keys(back).sort(), Object.keys(error).sort())
    }
  })

  it("refuse the metrics of no step", () => {
    const decode = Schema.decodeUnknownSync(RunLog.MetricsRecord)
    assert.deepStrictEqual(decode({ step: 0, metrics: { a: 1 } }), { step: 0, metrics: { a: 1 } })
    for (const wrong of [{ step: -1, metrics: {} }, { step: 1, metrics: { a: "x" } }, { step: 1 }]) {
      assert.throws(() => decode(wrong))
    }
  })
})

describe("searches that are worth another try", () => {
  it("are those that the server or the way to it failed", () => {
    const again = [
      timeout,
      unavailable,
      malformed("{"),
      ...[408, 425, 429, 500, 502, 503, 504, 599].map((s) => rejected(s))
    ]
    const never = [
      shape,
      quota,
      failed("bug"),
      ...[400, 401, 404, 407, 409, 413, 422, 424, 426, 428, 430, 499].map((s) => rejected(s))
    ]
    assert.deepStrictEqual(again.filter((error) => !Retriever.isRetryable(error)), [])
    assert.deepStrictEqual(never.filter((error) => Retriever.isRetryable(error)), [])
  })

  it("are counted under the name that the documentation gives", () => {
    assert.strictEqual(Retriever.searchRetries.id, "search_r1_search_retries_total")
    assert.isTrue(Metric.isMetric(Retriever.searchRetries))
  })
})
