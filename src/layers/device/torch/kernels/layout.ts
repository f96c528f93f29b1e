/**
 * Kernels that make, move, pick and join elements.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { scalarType } from "../addon.ts"
import type { TorchBackend } from "../backend.ts"
import { listResult, unaryResult } from "../operators.ts"
import { alias, several, single, type TorchKernel } from "./define.ts"
import { listed } from "./elementwise.ts"

const toType = unaryResult("aten::_to_copy")
const permute = unaryResult("aten::permute")
const narrow = unaryResult("aten::narrow")
const slice = unaryResult("aten::slice", "Tensor")
const flip = unaryResult("aten::flip")
const cat = unaryResult("aten::cat")
const stack = unaryResult("aten::stack")
const repeat = unaryResult("aten::repeat")
const pad = unaryResult("aten::constant_pad_nd")
const expand = unaryResult("aten::expand")
const arange = unaryResult("aten::arange", "start_step")
const indexSelect = unaryResult("aten::index_select")
const embedding = unaryResult("aten::embedding")
const zeros = unaryResult("aten::zeros")
const indexAdd = unaryResult("aten::index_add")
const indexCopy = unaryResult("aten::index_copy")
const mulScalar = unaryResult("aten::mul", "Scalar")
const add = unaryResult("aten::add", "Tensor")
const select = unaryResult("aten::select", "int")
const equal = unaryResult("aten::eq", "Tensor")
const whereScalar = unaryResult("aten::where", "Scalar")
const unbind = listResult("aten::unbind", "int")
const splitSizes = listResult("aten::split_with_sizes")

const sizeOf = (shape: ReadonlyArray<number>): number => shape.reduce((size, dim) => size * dim, 1)

/** All of one precision where one has that of storage. */
const together = (torch: TorchBackend, tensors: ReadonlyArray<tf.TensorInfo>): ReadonlyArray<number> => {
  const low = torch.low && tensors.some((tensor) => torch.stored(tensor).isLow)
  return tensors.map((tensor) => low ? torch.compute(tensor) : torch.input(tensor))
}

/** Row numbers `[n]` (int64) of indices `[n, k]` into the first `k` axes of a shape. */
const rowsOf = (torch: TorchBackend, indices: tf.TensorInfo, shape: ReadonlyArray<number>): number => {
  const k = indices.shape.at(-1) ?? 0
  const flat = torch.addon.reshape(torch.input(indices), [sizeOf(indices.shape.slice(0, -1)), k])
  const wide = toType(torch, flat, scalarType.int64)
  let rows = 0
  for (let axis = 0; axis < k; axis++) {
    const column = mulScalar(torch, select(torch, wide, 1, axis), sizeOf(shape.slice(axis + 1, k)))
    rows = rows === 0 ? column : add(torch, rows, column)
  }
  return rows
}

const asRows = (torch: TorchBackend, handle: number, rows: number, width: number): number =>
  torch.addon.reshape(handle, [rows, width])

const filled = (name: string, value: number): TorchKernel => ({
  name,
  run: (call) => {
    const x = call.input("x")
    return call.torch.filled(x.shape, value, x.dtype)
  }
})

/**
 * @category constants
 * @since 0.1.0
 */
export const layoutKernels: ReadonlyArray<TorchKernel> = [
  alias(tf.Identity, "x", (call) => call.input("x").shape),
  alias(tf.Reshape, "x", (call) => {
    const x = call.input("x")
    return tf.util.inferFromImplicitShape([...call.numbers("shape")], sizeOf(x.shape))
  }),
  alias(tf.ExpandDims, "input", (call) => {
    const { shape } = call.input("input")
    const dim = call.number("dim")
    const at = dim < 0 ? shape.length + dim + 1 : dim
    return [...shape.slice(0, at), 1, ...shape.slice(at)]
  }),
  filled(tf.ZerosLike, 0),
  filled(tf.OnesLike, 1),
  {
    name: tf.Fill,
    run: (call) => {
      const dtype = call.attribute("dtype")
      const known = dtype === "int32" || dtype === "bool" ? dtype : "float32"
      return call.torch.filled(call.numbers("shape"), call.number("value"), known)
    }
  },
  single(tf.Range, (call) => {
    const [start, stop, step] = [call.number("start"), call.number("stop"), call.number("step", 1)]
    const dtype = call.attribute("dtype") === "int32" ? "int32" : "float32"
    const size = Math.max(0, Math.ceil((stop - start) / step))
    const { torch } = call
    return {
      handle: arange(torch, start, start + size * step, step, torch.typeOf(dtype), null, torch.device),
      shape: [size],
      dtype
    }
  }),
  single(tf.Transpose, (call) => {
    const x = call.input("x")
    const order = call.numbers("perm")
    return {
      handle: permute(call.torch, call.torch.input(x), [...order]),
      shape: order.map((axis) => x.shape[axis] ?? 0),
      dtype: x.dtype
    }
  }),
  single(tf.Slice, (call) => {
    const x = call.input("x")
    const begin = call.numbers("begin")
    const size = x.shape.map((length, axis) => {
      const own = call.numbers("size")[axis] ?? -1
      return own === -1 ? length - (begin[axis] ?? 0) : own
    })
    const { torch } = call
    const handle = size.reduce(
      (part, length, axis) => length === x.shape[axis] ? part : narrow(torch, part, axis, begin[axis] ?? 0, length),
      torch.input(x)
    )
    return { handle: toType(torch, handle), shape: size, dtype: x.dtype }
  }),
  single(tf.StridedSlice, (call) => {
    const x = call.input("x")
    const info = tf.slice_util.sliceInfo(
      x.shape,
      [...call.numbers("begin")],
      [...call.numbers("end")],
      [...call.numbers("strides")],
      call.number("beginMask", 0),
      call.number("endMask", 0),
      call.number("ellipsisMask", 0),
      call.number("newAxisMask", 0),
      call.number("shrinkAxisMask", 0)
    )
    const { torch } = call
    const handle = info.strides.reduce((part, stride, axis) => {
      const [begin, end] = [info.begin[axis] ?? 0, info.end[axis] ?? 0]
      if (stride > 0) return slice(torch, part, axis, begin, Math.max(begin, end), stride)
      const size = x.shape[axis] ?? 0
      return slice(torch, flip(torch, part, [axis]), axis, size - 1 - begin, size - 1 - end, -stride)
    }, torch.input(x))
    return {
      handle: toType(torch, torch.addon.reshape(handle, info.finalShape)),
      shape: info.finalShape,
      dtype: x.dtype
    }
  }),
  single(tf.Concat, (call) => {
    const tensors = listed(call).filter((tensor) => sizeOf(tensor.shape) > 0)
    const first = tensors[0] ?? listed(call)[0]
    if (first === undefined) throw new TypeError("Concat needs an input")
    const all = tensors.length === 0 ? [first] : tensors
    const axis = tf.util.parseAxisParam(call.number("axis", 0), first.shape)[0] ?? 0
    const shape = tf.backend_util.computeOutShape(all.map((tensor) => tensor.shape), axis)
    return { handle: cat(call.torch, together(call.torch, all), axis), shape, dtype: first.dtype }
  }),
  single(tf.Pack, (call) => {
    const tensors = listed(call)
    const [first] = tensors
    if (first === undefined) throw new TypeError("Pack needs an input")
    const axis = call.number("axis", 0)
    const shape = [...first.shape.slice(0, axis), tensors.length, ...first.shape.slice(axis)]
    return { handle: stack(call.torch, together(call.torch, tensors), axis), shape, dtype: first.dtype }
  }),
  several(tf.Unpack, (call) => {
    const x = call.input("value")
    const axis = tf.util.parseAxisParam(call.number("axis", 0), x.shape)[0] ?? 0
    const shape = x.shape.filter((_, i) => i !== axis)
    return unbind(call.torch, call.torch.input(x), axis).map((handle) => ({
      handle: toType(call.torch, handle),
      shape,
      dtype: x.dtype
    }))
  }),
  several(tf.SplitV, (call) => {
    const x = call.input("x")
    const axis = tf.util.parseAxisParam(call.number("axis", 0), x.shape)[0] ?? 0
    const given = call.attribute("numOrSizeSplits")
    const whole = x.shape[axis] ?? 0
    const wanted = typeof given === "number"
      ? Array.from({ length: given }, () => whole / given)
      : [...call.numbers("numOrSizeSplits")]
    const rest = whole - wanted.reduce((sum, size) => sum + Math.max(0, size), 0)
    const sizes = wanted.map((size) => size === -1 ? rest : size)
    return splitSizes(call.torch, call.torch.input(x), sizes, axis).map((handle, i) => ({
      handle: toType(call.torch, handle),
      shape: x.shape.map((size, at) => at === axis ? sizes[i] ?? 0 : size),
      dtype: x.dtype
    }))
  }),
  single(tf.Tile, (call) => {
    const x = call.input("x")
    const times = call.numbers("reps")
    return {
      handle: repeat(call.torch, call.torch.input(x), [...times]),
      shape: x.shape.map((size, i) => size * (times[i] ?? 1)),
      dtype: x.dtype
    }
  }),
  single(tf.PadV2, (call) => {
    const x = call.input("x")
    const given = call.attribute("paddings")
    const paddings = x.shape.map((_, axis): readonly [number, number] => {
      const own: unknown = Array.isArray(given) ? given[axis] : undefined
      return Array.isArray(own) ? [Number(own[0] ?? 0), Number(own[1] ?? 0)] : [0, 0]
    })
    return {
      handle: pad(call.torch, call.torch.input(x), paddings.toReversed().flat(), call.number("constantValue", 0)),
      shape: x.shape.map((size, axis) => size + (paddings[axis]?.[0] ?? 0) + (paddings[axis]?.[1] ?? 0)),
      dtype: x.dtype
    }
  }),
  single(tf.BroadcastTo, (call) => {
    const x = call.input("x")
    const shape = call.numbers("shape")
    return { handle: expand(call.torch, call.torch.input(x), [...shape]), shape, dtype: x.dtype }
  }),
  single(tf.Reverse, (call) => {
    const x = call.input("x")
    const axes = tf.util.parseAxisParam([...call.numbers("dims")], x.shape)
    return { handle: flip(call.torch, call.torch.input(x), axes), shape: x.shape, dtype: x.dtype }
  }),
  single(tf.GatherV2, (call) => {
    const [x, indices] = [call.input("x"), call.input("indices")]
    if (call.number("batchDims", 0) !== 0) throw new TypeError("GatherV2 with batch dimensions is not supported")
    const axis = tf.util.parseAxisParam(call.number("axis", 0), x.shape)[0] ?? 0
    const { torch } = call
    const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)]
    const source = x.dtype === "float32" ? torch.compute(x) : torch.input(x)
    if (axis === 0 && x.shape.length === 2) {
      return { handle: embedding(torch, source, torch.input(indices)), shape, dtype: x.dtype }
    }
    const flat = torch.addon.reshape(torch.input(indices), [sizeOf(indices.shape)])
    return { handle: torch.addon.reshape(indexSelect(torch, source, axis, flat), shape), shape, dtype: x.dtype }
  }),
  single(tf.GatherNd, (call) => {
    const [params, indices] = [call.input("params"), call.input("indices")]
    const k = indices.shape.at(-1) ?? 0
    const { torch } = call
    const rest = params.shape.slice(k)
    const rows = asRows(torch, torch.input(params), sizeOf(params.shape.slice(0, k)), sizeOf(rest))
    const shape = [...indices.shape.slice(0, -1), ...rest]
    const picked = indexSelect(torch, rows, 0, rowsOf(torch, indices, params.shape))
    return { handle: torch.addon.reshape(picked, shape), shape, dtype: params.dtype }
  }),
  single(tf.ScatterNd, (call) => {
    const [indices, updates] = [call.input("indices"), call.input("updates")]
    const shape = call.numbers("shape")
    const k = indices.shape.at(-1) ?? 0
    const [rows, width] = [sizeOf(shape.slice(0, k)), sizeOf(shape.slice(k))]
    const { torch } = call
    const own = torch.input(updates)
    const empty = zeros(torch, [rows, width], torch.addon.dtype(own), null, torch.device)
    const values = asRows(torch, own, sizeOf(indices.shape.slice(0, -1)), width)
    const sum = indexAdd(torch, empty, 0, rowsOf(torch, indices, shape), values)
    return { handle: torch.addon.reshape(sum, shape), shape, dtype: updates.dtype }
  }),
  single(tf.TensorScatterUpdate, (call) => {
    const [tensor, indices, updates] = [call.input("tensor"), call.input("indices"), call.input("updates")]
    const { shape } = tensor
    const k = indices.shape.at(-1) ?? 0
    const [rows, width] = [sizeOf(shape.slice(0, k)), sizeOf(shape.slice(k))]
    const { torch } = call
    const [into = 0, from = 0] = together(torch, [tensor, updates])
    const values = asRows(torch, from, sizeOf(indices.shape.slice(0, -1)), width)
    const next = indexCopy(torch, asRows(torch, into, rows, width), 0, rowsOf(torch, indices, shape), values)
    return { handle: torch.addon.reshape(next, shape), shape, dtype: tensor.dtype }
  }),
  single(tf.UnsortedSegmentSum, (call) => {
    const [x, ids] = [call.input("x"), call.input("segmentIds")]
    const count = call.number("numSegments")
    const shape = [count, ...x.shape.slice(1)]
    const { torch } = call
    const own = torch.input(x)
    const empty = zeros(torch, shape, torch.addon.dtype(own), null, torch.device)
    return { handle: indexAdd(torch, empty, 0, torch.input(ids), own), shape, dtype: x.dtype }
  }),
  single(tf.OneHot, (call) => {
    const indices = call.input("indices")
    const depth = call.number("depth")
    const dtype = call.attribute("dtype") === "int32" ? "int32" : "float32"
    const { torch } = call
    const column = torch.addon.reshape(torch.input(indices), [...indices.shape, 1])
    const hot = equal(torch, column, arange(torch, 0, depth, 1, scalarType.int32, null, torch.device))
    const values = whereScalar(torch, hot, call.number("onValue", 1), call.number("offValue", 0))
    return { handle: toType(torch, values, torch.typeOf(dtype)), shape: [...indices.shape, depth], dtype }
  })
]
