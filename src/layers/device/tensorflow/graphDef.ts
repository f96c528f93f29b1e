/**
 * TensorFlow's own file format for graphs, as far as recorded operations need it: a `SavedModel` in protocol buffers.
 *
 * @since 0.1.0
 */
import type { OpAttr } from "./backend.ts"

/**
 * A node of a graph. `inputs` name other nodes: `name`, `name:output`, or `^name` for one that must only come before.
 *
 * @category models
 * @since 0.1.0
 */
export type GraphNode =
  | {
    readonly kind: "operation"
    readonly name: string
    readonly op: string
    readonly attrs: ReadonlyArray<OpAttr>
    readonly inputs: ReadonlyArray<string>
  }
  | {
    readonly kind: "constant"
    readonly name: string
    readonly dtype: number
    readonly shape: ReadonlyArray<number>
    readonly bytes: Uint8Array
  }
  /** Its sizes are left open. */
  | { readonly kind: "input"; readonly name: string; readonly dtype: number; readonly rank: number }

/** Kinds of attributes as the C API numbers them, which is what tfjs hands over. */
const attrKinds = ["string", "int", "float", "bool", "type", "shape"] as const

const lengthDelimited = 2

const varint = (value: number | bigint): Array<number> => {
  const bytes: Array<number> = []
  let rest = BigInt.asUintN(64, BigInt(value))
  while (rest > 127n) {
    bytes.push(Number(rest & 127n) | 128)
    rest >>= 7n
  }
  bytes.push(Number(rest))
  return bytes
}

const integer = (field: number, value: number | bigint): Buffer =>
  Buffer.from([...varint(field << 3), ...varint(value)])

const bytes = (field: number, value: Uint8Array | string): Buffer => {
  const content = Buffer.from(value)
  return Buffer.concat([Buffer.from([...varint(field << 3 | lengthDelimited), ...varint(content.length)]), content])
}

const message = (field: number, ...parts: ReadonlyArray<Buffer>): Buffer => bytes(field, Buffer.concat(parts))

const single = (field: number, value: number): Buffer => {
  const content = Buffer.alloc(4)
  content.writeFloatLE(value)
  return Buffer.concat([Buffer.from(varint(field << 3 | 5)), content])
}

const shapeParts = (shape: ReadonlyArray<number>): Array<Buffer> => shape.map((size) => message(2, integer(1, size)))

/** The fields of `AttrValue` for an attribute. */
const attrValue = ({ name, type, value }: OpAttr): Buffer => {
  const kind = attrKinds[type]
  if (kind === "string" && typeof value === "string") return bytes(2, value)
  if (kind === "bool" && typeof value === "boolean") return integer(5, value ? 1 : 0)
  if (typeof value === "number") {
    if (kind === "int") return integer(3, value)
    if (kind === "type") return integer(6, value)
    if (kind === "float") return single(4, value)
  }
  if (kind === "int" && Array.isArray(value)) return message(1, ...value.map((item) => integer(3, Number(item))))
  throw new TypeError(`the attribute ${name} of kind ${kind ?? type} cannot be written into a graph`)
}

const attr = (name: string, value: Buffer): Buffer => message(5, bytes(1, name), bytes(2, value))

const node = (given: GraphNode): Buffer => {
  const head = (op: string) => [bytes(1, given.name), bytes(2, op)]
  if (given.kind === "operation") {
    return message(
      1,
      ...head(given.op),
      ...given.inputs.map((input) => bytes(3, input)),
      ...given.attrs.map((own) => attr(own.name, attrValue(own)))
    )
  }
  const dtype = attr("dtype", integer(6, given.dtype))
  if (given.kind === "input") {
    const open = Array.from({ length: given.rank }, () => -1)
    return message(1, ...head("Placeholder"), dtype, attr("shape", message(7, ...shapeParts(open))))
  }
  const shape = message(2, ...shapeParts(given.shape))
  return message(
    1,
    ...head("Const"),
    dtype,
    attr("value", message(8, integer(1, given.dtype), shape, bytes(4, given.bytes)))
  )
}

/**
 * The tag by which a written graph is loaded.
 *
 * @category constants
 * @since 0.1.0
 */
export const tag = "serve"

/** The oldest version of graphs that all of TensorFlow 2 reads and writes. */
const producer = 1286

/**
 * The content of `saved_model.pb` for a graph without variables.
 *
 * @category conversions
 * @since 0.1.0
 */
export const savedModel = (nodes: ReadonlyArray<GraphNode>): Uint8Array => {
  const graph = message(2, ...nodes.map(node), message(4, integer(1, producer)))
  return Buffer.concat([integer(1, 1), message(2, message(1, bytes(4, tag)), graph)])
}
