import { assert, describe, it } from "@effect/vitest"
import { parse } from "../../src/domain/RayLog.ts"

const repeated = " [repeated 3x across cluster]"
const explained = `${repeated} (Ray deduplicates logs by default. Set RAY_DEDUP_LOGS=0 to disable.)`

/** Lines as Ray 2.x prints what its workers print. */
describe("lines of Ray", () => {
  it.each<readonly [string, string, string, boolean]>([
    ["plain text", "", "plain text", false],
    ["plain text\r", "", "plain text", false],
    ["(main_task pid=123) text", "pid=123", "text", false],
    ["(main_task pid=123)  text", "pid=123", " text", false],
    ["(main_task pid=123)", "pid=123", "", false],
    ["(pid=123) text", "pid=123", "text", false],
    ["(Worker pid=5, ip=10.0.0.1) text", "pid=5, ip=10.0.0.1", "text", false],
    ["(Worker(a, b) pid=5) text", "pid=5", "text", false],
    ["\u001b[36m(Worker pid=5)\u001b[0m text", "pid=5", "text", false],
    ["2026-01-02 03:04:05,678 (Worker pid=5) text", "pid=5", "text", false],
    ["2026-01-02T03:04:05Z [1]: (Worker pid=5) text", "pid=5", "text", false],
    ["0: (Worker pid=5) text", "pid=5", "text", false],
    ["(autoscaler +5s) text", "(autoscaler +5s)", "text", false],
    ["(raylet) text", "(raylet)", "text", false],
    ["(gcs_server) text", "(gcs_server)", "text", false],
    ["(rayleth) text", "", "(rayleth) text", false],
    ["(a pid=1) (b pid=2) text", "pid=2", "text", false],
    ["(a pid=1) (a pid=2) (a pid=3) (a pid=4) (a pid=5) text", "pid=4", "(a pid=5) text", false],
    ["say (a pid=1) text", "", "say (a pid=1) text", false],
    ["(a pid=x) text", "", "(a pid=x) text", false],
    [`(a pid=1) text${repeated}`, "pid=1", "text", true],
    [`(a pid=1) text${explained}`, "pid=1", "text", true],
    [`(a pid=1) text\u001b[32m${repeated}\u001b[0m  `, "pid=1", "text", true],
    [`(a pid=1) text${repeated} and more`, "pid=1", `text${repeated} and more`, false],
    [`(a pid=1) text [repeated xx across cluster]`, "pid=1", "text [repeated xx across cluster]", false]
  ])("%j", (line, source, text, folded) => assert.deepStrictEqual(parse(line), { source, text, folded }))
})
