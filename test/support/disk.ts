/** What of a folder has reached the disk, and what a machine that loses its power forgets. */
// The folder is brought to an earlier state behind the back of the file system under test.
// @effect-diagnostics nodeBuiltinImport:off
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { basename, dirname, join, relative } from "node:path"

/**
 * `lost`: nothing is left of what was not synced, neither names nor contents. `torn`: all names are there, and contents as
 * far as they were synced, for file systems may write the one before the other.
 */
export type Outage = "lost" | "torn"

interface File {
  readonly kind: "file"
  parent: Directory | undefined
  name: string
  /** Its content after an outage that loses its latest truncations, and after one that keeps them. */
  kept: { readonly lost: Uint8Array; readonly torn: Uint8Array }
}

interface Directory {
  readonly kind: "directory"
  parent: Directory | undefined
  name: string
  readonly entries: Map<string, Node>
  /** The entries that have reached the disk. */
  readonly kept: Map<string, Node>
}

type Node = File | Directory

/** Changes of names, in their order: what syncs a folder writes them down to the last that concerns it. */
interface Change {
  readonly folders: ReadonlyArray<Directory>
  readonly apply: () => void
}

const nothing = new Uint8Array()

const newDirectory = (name: string): Directory => ({
  kind: "directory",
  parent: undefined,
  name,
  entries: new Map(),
  kept: new Map()
})

export class Disk {
  readonly root: string
  readonly #top = newDirectory("")
  #changes: Array<Change> = []

  /** All that is in the folder now has reached the disk. */
  constructor(root: string) {
    this.root = root
    this.#scan(this.#top, root)
    this.#flush(() => true)
  }

  #scan(directory: Directory, path: string): void {
    for (const name of readdirSync(path)) {
      const child = join(path, name)
      if (statSync(child).isDirectory()) {
        const made = newDirectory(name)
        this.#enter(directory, made)
        this.#scan(made, child)
      } else {
        const content = readFileSync(child)
        this.#enter(directory, { kind: "file", parent: undefined, name, kept: { lost: content, torn: content } })
      }
    }
  }

  #enter(parent: Directory, node: Node, from?: { readonly parent: Directory; readonly name: string }): void {
    const { name } = node
    node.parent = parent
    parent.entries.set(name, node)
    this.#changes.push({
      folders: [parent, ...from === undefined ? [] : [from.parent]],
      apply: () => {
        if (from !== undefined) from.parent.kept.delete(from.name)
        parent.kept.set(name, node)
      }
    })
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#top
    for (const name of relative(this.root, path).split("/")) {
      if (name === "") continue
      node = node?.kind === "directory" ? node.entries.get(name) : undefined
    }
    return node
  }

  /** Nothing is known of folders that were made past the file system, as libraries do. */
  #parent(path: string): Directory {
    const parent = this.#find(dirname(path))
    return parent?.kind === "directory" ? parent : newDirectory("")
  }

  #flush(concerns: (change: Change) => boolean): void {
    const end = this.#changes.findLastIndex(concerns) + 1
    for (const { apply } of this.#changes.splice(0, end)) apply()
  }

  /** A file was opened for writing, and emptied where that says so. */
  opened(path: string, emptied: boolean): void {
    const found = this.#find(path)
    if (found === undefined) {
      const kept = { lost: nothing, torn: nothing }
      this.#enter(this.#parent(path), { kind: "file", parent: undefined, name: basename(path), kept })
    } else if (found.kind === "file" && emptied) found.kept = { ...found.kept, torn: nothing }
  }

  truncated(path: string, length: number): void {
    const found = this.#find(path)
    if (found?.kind === "file") found.kept = { ...found.kept, torn: found.kept.torn.subarray(0, length) }
  }

  synced(path: string): void {
    const found = this.#find(path)
    if (found?.kind === "directory") this.#flush(({ folders }) => folders.includes(found))
    else if (found !== undefined) {
      const content = readFileSync(path)
      found.kept = { lost: content, torn: content }
    }
  }

  made(path: string): void {
    if (this.#find(path) !== undefined) return
    if (dirname(path) !== this.root) this.made(dirname(path))
    this.#enter(this.#parent(path), newDirectory(basename(path)))
  }

  /** Something came to a path by copying: none of its content has reached the disk. */
  copied(path: string): void {
    if (!statSync(path).isDirectory()) return this.opened(path, true)
    this.made(path)
    for (const name of readdirSync(path)) this.copied(join(path, name))
  }

  linked(from: string, to: string): void {
    const found = this.#find(from)
    if (found?.kind !== "file") return
    this.#enter(this.#parent(to), { ...found, name: basename(to) })
  }

  removed(path: string): void {
    const found = this.#find(path)
    if (found?.parent === undefined) return
    const { name, parent } = found
    parent.entries.delete(name)
    this.#changes.push({ folders: [parent], apply: () => void parent.kept.delete(name) })
  }

  renamed(from: string, to: string): void {
    const found = this.#find(from)
    if (found?.parent === undefined) return
    const before = { parent: found.parent, name: found.name }
    before.parent.entries.delete(before.name)
    found.name = basename(to)
    this.#enter(this.#parent(to), found, before)
  }

  /** The folder is what is found in it when the power has come back. */
  lose(outage: Outage): void {
    if (outage === "torn") this.#flush(() => true)
    for (const name of readdirSync(this.root)) rmSync(join(this.root, name), { recursive: true })
    const write = (directory: Directory, path: string): void => {
      for (const [name, node] of directory.kept) {
        const child = join(path, name)
        if (node.kind === "file") writeFileSync(child, node.kept[outage])
        else {
          mkdirSync(child)
          write(node, child)
        }
      }
    }
    write(this.#top, this.root)
  }
}
