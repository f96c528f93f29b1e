/**
 * Names of what is in the making: they say who makes it, so that what a killed process left is known and removed.
 *
 * @since 0.2.0
 */
// The name of this machine has no counterpart in Effect.
// @effect-diagnostics nodeBuiltinImport:off
import { Effect, FileSystem, Path } from "effect"
import { hostname } from "node:os"
import { uniqueName } from "./hash.ts"
import { alive } from "./processIdentity.ts"

const here = hostname().replaceAll(/[^\w-]/g, "_")
const made = /^(.*)(\.([\w-]+)\.(\d+)\.[\da-f-]{36}\.tmp)(?:\.[a-z]+)?$/

/** Bytes that such a name has at most: file systems take 255, and an ending may be added to it. */
const longest = 240

/** As much of a name as leaves room for so many further bytes. */
const prefixFor = (name: string, suffix: number): string => {
  let prefix = name
  while (Buffer.byteLength(prefix) + suffix > longest) prefix = prefix.slice(0, -1)
  return prefix
}

/**
 * Another name for what becomes `name`, as long as that may be.
 *
 * @category constructors
 * @since 0.2.0
 */
export const nameFor = (name: string): string => {
  const suffix = `.${here}.${process.pid}.${uniqueName()}.tmp`
  return `${prefixFor(name, suffix.length)}${suffix}`
}

/**
 * What makers of `path` left on this machine that are no more, and what belongs to that.
 *
 * @category getters
 * @since 0.2.0
 */
export const of = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  const { basename, dirname, join } = yield* Path.Path
  const name = basename(path)
  return (yield* fs.readDirectory(dirname(path))).flatMap((file) => {
    const [, begin, suffix = "", machine, process] = made.exec(file) ?? []
    return begin !== prefixFor(name, suffix.length) || machine !== here || alive(Number(process))
      ? []
      : [join(dirname(path), file)]
  })
})

/**
 * Removes what makers of `path` left.
 *
 * @category operations
 * @since 0.2.0
 */
export const remove = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  for (const left of yield* of(path)) yield* fs.remove(left, { recursive: true, force: true })
})
