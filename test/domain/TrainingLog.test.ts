import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import * as JsonRecords from "../../src/domain/JsonRecords.ts"
import { renderPrompt } from "../../src/domain/Protocol.ts"
import * as Recording from "../../src/domain/Recording.ts"
import * as TrainingLog from "../../src/domain/TrainingLog.ts"
import * as Transcript from "../../src/domain/Transcript.ts"

const split = (pieces: ReadonlyArray<string>) => {
  const splitter = TrainingLog.make()
  return [...pieces.flatMap((piece) => splitter.push(piece)), ...splitter.end()]
}

const recordings = (text: string) =>
  split([text]).map((record) =>
    Result.getOrThrowWith(
      Result.flatMap(JsonRecords.value(record), Recording.fromJson),
      (reason) => new Error(reason)
    )
  )

const prompt = `<|im_start|>user\n${renderPrompt("search", "capital of France")}<|im_end|>\n<|im_start|>assistant\n`
const responses = [
  "<think>a</think>\n<search>q</search>\n\n<information>Doc 1(Title: x) y</information>\n\n<answer>Paris</answer>",
  "no answer"
]

const log = `[WARNING] OBSERVATION TOO LONG
ACTIVE_TRAJ_NUM: [256, 194]
--------------------------------
Golden answers: ['Paris' "the 'city'"
 'l\\'île \\xe9']
Extracted answer: Paris
Solution string: ${prompt}${responses[0]}
ACTIVE_TRAJ_NUM: [256, 3]
step:5 - critic/score/mean:0.2
--------------------------------
Golden answers: ['Rome']
Extracted answer: and
Solution string: ${prompt}${responses[1]}
`

describe("training logs", () => {
  it("hold samples between other prints", () => {
    const [first, second, ...more] = recordings(log)
    assert.deepStrictEqual(more, [])
    assert.deepStrictEqual(first?.goldenAnswers, ["Paris", "the 'city'", "l'île é"])
    assert.strictEqual(first?.question, "capital of France?")
    assert.strictEqual(first?.transcript.prompt, prompt)
    assert.deepStrictEqual([first, second].map((one) => one && Transcript.responseText(one.transcript)), responses)
    assert.deepStrictEqual(split([log]).map(({ line }) => line), [4, 20])
  })

  const rule = "-".repeat(32)
  /** A sample as the reference prints it, with this response. */
  const sample = (response: string, golden = "['Paris']") =>
    `${rule}\nGolden answers: ${golden}\nExtracted answer: x\nSolution string: ${response}\n`
  const responsesOf = (text: string) => recordings(text).map(({ transcript }) => Transcript.responseText(transcript))
  const passage = (text: string) =>
    `<search>q</search>\n\n<information>Doc 1(Title: x) ${text}</information>\n\n<answer>Paris</answer>`

  it.each([
    ["(main_task pid=163292) ", "\u001B[36m(main_task pid=7)\u001B[0m "],
    ["(TaskRunner pid=123) ", "\u001B[36m(TaskRunner pid=123)\u001B[0m "],
    ["(pid=123) ", "(main_task pid=123, ip=10.0.0.2) "],
    [
      "\u001B[36m(RewardLoopWorker pid=9, ip=fe80::1)\u001B[0m ",
      "\u001B[1m\u001B[35m(AgentLoopWorker pid=1)\u001B[0m "
    ],
    ["(vLLMHttpServer(replica_rank=0) pid=4) ", "0: (EngineCore_0 pid=1) (pid=2, ip=10.0.0.1) "],
    ["2026-03-01T12:00:00.123456Z (TaskRunner pid=1) ", "3: (TaskRunner pid=1) "]
  ])("may come through Ray as %j or %j", (...prefixes) => {
    for (const prefix of prefixes) {
      const through = log.trimEnd().split("\n").map((line) => `${prefix}${line}`).join("\n")
      const trimmed = log.trimEnd().split("\n").map((line) => `${prefix}${line}`.trimEnd()).join("\r\n")
      assert.deepStrictEqual(recordings(through), recordings(log))
      assert.deepStrictEqual(recordings(trimmed), recordings(log))
    }
  })

  it("keep the lines of one process apart from those of others", () => {
    const [first, second] = [sample(passage("one")), sample(passage("two"))].map((text) => text.trimEnd().split("\n"))
    const mixed = first!.flatMap((line, index) => [
      `(RewardWorker pid=1) ${line}`,
      `\u001B[36m(RewardWorker pid=2)\u001B[0m ${second![index]}`,
      "Training Progress:   0%|          | 0/1005 [00:00<?, ?it/s]",
      "(raylet) a warning",
      "(autoscaler +3s) Tip: use `ray status`",
      `(WorkerDict pid=9) ${rule}`
    ])
    assert.deepStrictEqual(responsesOf(mixed.join("\n")), [passage("one"), passage("two")])
  })

  const repeated = "\u001B[32m [repeated 5x across cluster]\u001B[0m"
  const explained =
    " [repeated 2x across cluster] (Ray deduplicates logs by default. Set RAY_DEDUP_LOGS=0 to disable log deduplication, or see https://docs.ray.io for more options.)"

  it.each([repeated, explained])("lose the suffix of lines that Ray folded, and say so: %s", (suffix) => {
    const text = `(T pid=1) ${rule}${suffix}\n(T pid=1) Golden answers: ['Paris']${suffix}\n`
      + `(T pid=1) Extracted answer: x\n(T pid=1) Solution string: <think>a\n`
      + `(T pid=1) b</think>${suffix}\n(T pid=1) <answer>Paris</answer>\n`
    assert.deepStrictEqual(responsesOf(text), ["<think>a\nb</think>\n<answer>Paris</answer>"])
    assert.match(split([text]).map((record) => "caution" in record ? record.caution : "").join(), /RAY_DEDUP_LOGS=0/)
    assert.deepStrictEqual(split([log]).map((record) => "caution" in record), [false, false])
  })

  it("hold passages with lines that look like prints", () => {
    for (
      const text of [
        `a\n${"-".repeat(30)}\nb`,
        `a\n${rule}\nb`,
        `a\n${rule}\n${rule}\n${rule}`,
        `a\n${rule}\nGolden answers: the film\nb`,
        `a\nGolden answers: ['x']\nExtracted answer: y\n${rule}`,
        "a\n[WARNING] do not touch\n[score] 3 : 1\n[response] none",
        "a\n{\"json\": true}\n[1, 2]\n{ x"
      ]
    ) {
      assert.deepStrictEqual(responsesOf(sample(passage(text)) + sample("next")), [passage(text), "next"], text)
    }
  })

  it("hold samples in which the policy draws a rule", () => {
    const response = `<think>a\n${rule}\nb</think>\n<answer>Paris</answer>`
    assert.deepStrictEqual(responsesOf(sample(response) + sample("next")), [response, "next"])
  })

  it("end a sample with the next one, with the trainer's prints, and with a rule behind the answer", () => {
    const open = "<search>q</search>\n\n<information>Doc 1(Title: x) cut"
    for (
      const end of [
        "ACTIVE_TRAJ_NUM: [1]\nmore\n",
        `${rule}\nACTIVE_TRAJ_NUM: [1]\n`,
        "step:5 - critic/score:0\n",
        "Golden answers: ['x']\nExtracted answer: x\nSolution string: y\n"
      ]
    ) assert.strictEqual(responsesOf(sample(open) + end)[0], open, end)
    const answer = "<answer>Paris</answer><|im_end|>"
    assert.deepStrictEqual(responsesOf(`${sample(answer)}${rule}\nformat_score:1\nwhatever\n`), [answer])
    assert.deepStrictEqual(responsesOf(`${sample(answer)}test_gen_batch meta info: {}\n`), [answer])
    // cut off behind a rule, or within the next header
    assert.deepStrictEqual(responsesOf(`${sample(answer)}${rule}\n`), [answer])
    assert.deepStrictEqual(responsesOf(`${sample(answer)}${rule}\nGolden answers: ['a'`), [answer])
  })

  it("may be printed by newer versions of verl, and hold answers of several lines", () => {
    const text =
      `${rule}\nGolden answers: ['a' 'b'\n 'c']\nExtracted answer is not None: one\ntwo\nSolution string: x\n`
      + `${rule}\nGolden answers: ['d']\nExtracted answer: None!\nSolution string: y\n`
    assert.deepStrictEqual(recordings(text).map(({ goldenAnswers }) => goldenAnswers), [["a", "b", "c"], ["d"]])
  })

  it("whose golden answers NumPy shortened cannot be graded there", () => {
    const text = sample("one", "['a0' 'a1' 'a2' ... 'a1497' 'a1498' 'a1499']") + sample("two")
    assert.deepStrictEqual(split([text]).map((record) => "flaw" in record ? record.flaw.slice(0, 38) : record.line), [
      "the golden answers were printed with \"",
      6
    ])
  })

  it("without a solution string hold nothing", () => {
    assert.deepStrictEqual(
      split(["--------------------------------\nGolden answers: ['x']\nExtracted answer: y\n"]),
      [{ line: 1, flaw: "this is neither JSON nor a training log of Search-R1" }]
    )
  })

  const Line = Schema.Literals([
    rule,
    "-".repeat(20),
    "Golden answers: ['x']",
    "Golden answers: the film",
    "Extracted answer: x",
    "[score] 1",
    "{",
    "{\"a\": 1}",
    "",
    "text",
    "| a | b |"
  ])
  it.prop("hold whatever stands in their passages, of several processes at once", [
    Schema.Array(Schema.Array(Line)),
    Schema.Array(Schema.Literals([1, 2, 5]))
  ], ([passages, turns]) => {
    const responses = passages.map((lines) => passage(["a", ...lines, "b"].join("\n")))
    // each process prints one sample after the other; their lines mix
    const queues = [0, 1].map((process) =>
      responses.flatMap((response, index) =>
        index % 2 === process
          ? sample(response).trimEnd().split("\n").map((line) => `(RewardWorker pid=${process + 1}) ${line}`)
          : []
      )
    )
    const text: Array<string> = []
    for (let turn = 0; queues.some((queue) => queue.length > 0); turn++) {
      text.push(...queues[turn % 2]!.splice(0, turns[turn % Math.max(1, turns.length)] ?? 3))
    }
    assert.deepStrictEqual(responsesOf(text.join("\n")).toSorted(), responses.toSorted())
  })

  it.prop(
    "give the same samples however they are cut",
    [Schema.Array(Schema.Literals([0, 3, 17, 300]))],
    ([lengths]) => {
      const pieces: Array<string> = []
      let at = 0
      for (let i = 0; at < log.length; i++) {
        const length = 1 + (lengths[i % Math.max(1, lengths.length)] ?? log.length)
        pieces.push(log.slice(at, at + length))
        at += length
      }
      assert.deepStrictEqual(split(pieces), split([log]))
    }
  )
})

describe("other texts", () => {
  it("are JSON lines or an array", () => {
    assert.deepStrictEqual(split(["\n{\"a\":1}\n{\"a\":2}"]), [{ line: 2, text: "{\"a\":1}" }, {
      line: 3,
      text: "{\"a\":2}"
    }])
    assert.deepStrictEqual(split(["[", "{\"a\":1}]"]), [{ line: 1, column: 2, text: "{\"a\":1}" }])
  })

  it("may begin with a line that is no record", () => {
    assert.deepStrictEqual(split(["oops\n\n{\"a\":1}\n"]), [{ line: 1, text: "oops" }, { line: 3, text: "{\"a\":1}" }])
  })

  it("are told from logs", () => {
    assert.deepStrictEqual(split(["hello\n"]), [{
      line: 1,
      flaw: "this is neither JSON nor a training log of Search-R1"
    }])
    assert.deepStrictEqual(split([" \n"]), [])
    assert.deepStrictEqual(split(["["]).map((record) => "flaw" in record), [true])
    assert.deepStrictEqual(split(["{"]), [{ line: 1, text: "{" }])
    assert.deepStrictEqual(split(["{'python': 'dict'}\n[2026-01-01] started\n", log]).length, 2)
  })
})
