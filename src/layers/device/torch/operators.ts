/**
 * Operators of ATen as functions.
 *
 * @since 0.1.0
 */
import type { Handle, Result, Value } from "./addon.ts"
import type { TorchBackend } from "./backend.ts"

/**
 * An operator of ATen by name, looked up at its first use. Returns what the operator returns.
 *
 * @category constructors
 * @since 0.1.0
 */
export const operator = (
  name: string,
  overload = ""
): (torch: TorchBackend, ...args: ReadonlyArray<Value>) => Result => {
  let id = -1
  return (torch, ...args) => {
    if (id === -1) id = torch.lookUp(name, overload)
    return torch.call(id, args)
  }
}

/**
 * An operator with one tensor as its result.
 *
 * @category constructors
 * @since 0.1.0
 */
export const unaryResult = (
  name: string,
  overload = ""
): (torch: TorchBackend, ...args: ReadonlyArray<Value>) => Handle => {
  const run = operator(name, overload)
  return (torch, ...args) => {
    const result = run(torch, ...args)
    if (typeof result !== "number") throw new TypeError(`${name} gave no single tensor`)
    return result
  }
}

/**
 * An operator with several tensors as its result.
 *
 * @category constructors
 * @since 0.1.0
 */
export const listResult = (
  name: string,
  overload = ""
): (torch: TorchBackend, ...args: ReadonlyArray<Value>) => ReadonlyArray<Handle> => {
  const run = operator(name, overload)
  return (torch, ...args) => {
    const result = run(torch, ...args)
    if (!Array.isArray(result)) throw new TypeError(`${name} gave no list of tensors`)
    return result.map((handle: Result) => typeof handle === "number" ? handle : 0)
  }
}
