/**
 * Private copies of the project whose sources hold their mutants: the user's files are only read.
 */
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { countable, switchable } from "./instrument.ts"
import { type Mutant, mutantsOf } from "./operators.ts"

/** The project that is read. */
export const root = fileURLToPath(new URL("../..", import.meta.url))

/** What earlier runs found; not committed. */
export const cacheFolder = join(root, ".cache", "mutate")

export const hash = (content: string | Uint8Array): string =>
  createHash("sha256").update(content).digest("hex").slice(0, 16)

export interface Source {
  readonly file: string
  readonly code: string
  readonly hash: string
  readonly mutants: ReadonlyArray<Mutant>
}

/** The files of the project as git sees them, changed and new ones included. */
const projectFiles = (): ReadonlyArray<string> =>
  execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: root, encoding: "utf8" })
    .split("\0")
    .filter((file) => file !== "" && existsSync(join(root, file)))

/** The sources with their mutants. */
export const readSources = (): ReadonlyArray<Source> =>
  projectFiles()
    .filter((file) => /^src\/.*\.ts$/.test(file) && !file.endsWith(".d.ts"))
    .map((file) => {
      const code = readFileSync(join(root, file), "utf8")
      return { file, code, hash: hash(code), mutants: mutantsOf(file, code) }
    })

/** Where the copies lie: outside of the project, and not where another checkout has its own. */
const copies = join(tmpdir(), `mutate-${hash(root)}`)

const writeIfOther = (path: string, content: string | Uint8Array): void => {
  if (existsSync(path) && readFileSync(path).equals(Buffer.from(content))) return
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
}

const filesBelow = (folder: string): ReadonlyArray<string> =>
  readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))

export type Form = "switch" | "count" | "plain"

/**
 * Brings a copy up to date and returns its folder: `switch` to run mutants, `count` to see which tests reach them, `plain`
 * to check their types.
 */
export const prepare = (form: Form, sources: ReadonlyArray<Source>): string => {
  const folder = join(copies, form, "project")
  const written = new Set<string>()
  const write = (file: string, content: string | Uint8Array): void => {
    written.add(file)
    writeIfOther(join(folder, file), content)
  }
  const bySource = new Map(sources.map((source) => [source.file, source]))
  // a text is made once for a content: the form's own code is part of its key
  const made = join(
    cacheFolder,
    `made-${form}-${hash(readFileSync(new URL("instrument.ts", import.meta.url)))}-${
      hash(readFileSync(new URL("operators.ts", import.meta.url)))
    }`
  )
  for (const file of projectFiles()) {
    const source = bySource.get(file)
    if (source === undefined || form === "plain" || source.mutants.length === 0) {
      write(file, readFileSync(join(root, file)))
      continue
    }
    const kept = join(made, `${hash(file)}-${source.hash}`)
    const text = existsSync(kept)
      ? readFileSync(kept, "utf8")
      : form === "switch"
      ? switchable(file, source.code, source.mutants)
      : countable(file, source.code, source.mutants, "/*HITS*/")
    writeIfOther(kept, text)
    write(file, text.replace("/*HITS*/", join(folder, "scripts", "mutate", "hits.ts")))
  }
  for (const file of filesBelow(join(folder, "src"))) {
    if (!written.has(join("src", file))) rmSync(join(folder, "src", file))
  }
  for (const file of filesBelow(join(folder, "test"))) {
    if (!written.has(join("test", file))) rmSync(join(folder, "test", file), { force: true })
  }
  const link = (target: string, path: string): void => {
    if (existsSync(target) && !existsSync(path)) symlinkSync(target, path)
  }
  link(join(root, "node_modules"), join(folder, "node_modules"))
  // data beside the checkout that some tests read where it is there
  link(join(root, "..", "shared"), join(folder, "..", "shared"))
  return folder
}
