// node stress.cjs ADDON [CALLS]: millions of operator calls with explicit release, in and out of scopes, and recorded
// programs of them between; memory must stay flat.
const torch = require(process.argv[2])
const calls = Number(process.argv[3] ?? 1e7)
const add = torch.op("aten::add", "Tensor")
const matmul = torch.op("aten::mm", "")
const split = torch.op("aten::split", "Tensor")
const softmax = torch.op("search_r1::log_prob", "")
const linear = torch.op("aten::linear", "")
const norm = torch.op("search_r1::rms_norm", "")
const product = torch.op("aten::mul", "Tensor")
const a = torch.fromData(new Float32Array(64).fill(0.5), [8, 8])
const targets = torch.fromData(new Int32Array(8), [8])
const out = new Float32Array(64)
const rss = []
const eights = new Float32Array(64).fill(0.25)

/** Records norm, product and sum, and something that only ATen has; repeats it on other numbers. */
const program = () => {
  torch.beginScope()
  const [x, weight, gain] = [
    torch.fromData(eights, [8, 8]),
    torch.fromData(eights, [8, 8]),
    torch.fromData(eights.slice(0, 8), [8])
  ]
  torch.beginRecording([x])
  const sum = torch.call(add, x, torch.call(linear, torch.call(norm, x, gain, 1e-6), weight))
  const recorded = torch.endRecording([torch.call(product, sum, x)])
  torch.endScope()
  for (let i = 0; i < 100; i++) torch.release(...torch.runProgram(recorded, [eights]))
  torch.releaseProgram(recorded)
  torch.beginRecording([a])
  torch.release(torch.call(add, a, a))
  torch.endRecording()
}

const started = performance.now()
for (let i = 0; i < calls;) {
  for (let j = 0; j < 10_000; j += 5) {
    torch.beginScope()
    const b = torch.call(add, a, a)
    const c = torch.call(matmul, a, b)
    torch.call(split, c, 2)
    torch.call(softmax, c, targets, 1)
    torch.endScope(b)
    torch.release(b)
    torch.release(torch.call(add, a, a))
    if (j % 1000 === 0) torch.read(a, out)
    try {
      if (j % 2500 === 0) torch.call(matmul, a, targets)
    } catch (error) {
      if (error.code !== "ATEN") throw error
    }
  }
  program()
  i += 10_000
  if (i % (calls / 10) < 10_000) rss.push(process.memoryUsage().rss >> 20)
}
const seconds = (performance.now() - started) / 1000
const { tensors } = torch.live()
process.stdout.write(`${JSON.stringify({ calls, microsecondsPerCall: seconds / calls * 1e6, tensors, rssMiB: rss })}\n`)
if (tensors !== 2 || rss.at(-1) > rss[1] + 16) process.exit(1)
