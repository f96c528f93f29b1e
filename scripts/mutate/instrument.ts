/**
 * One text of a file that holds all its mutants: which of them is active is decided when it runs (`MUTATE_ACTIVE`), so a
 * test runner that keeps transformed files need not transform it again. A second form only says which places are reached.
 */
import { type Mutant } from "./operators.ts"
import { children, isType, type Node, parse } from "./syntax.ts"

/** The mutant that runs, as `file:number`; the number is the mutant's place in its file, from 1. */
export const activeVariable = "MUTATE_ACTIVE"

type Choose = (numbers: ReadonlyArray<readonly [number, Mutant]>, base: string) => string

const switched: Choose = (numbers, base) => {
  let text = base
  const expressions = numbers.filter(([, { kind }]) => kind === "expression")
  if (expressions.length > 0) {
    text = `(${expressions.map(([number, { replacement }]) => `$m===${number}?(${replacement}):`).join("")}${text})`
  }
  for (const [number, { kind, node }] of numbers) {
    if (kind === "statement") text = `{if($m!==${number}){${text}}}`
    if (kind === "step") text = `($m===${number}?$id:${text})`
    if (kind === "element") {
      const [open, close] = node.type === "Property" || (node.type === "SpreadElement") ? ["{", "}"] : ["[", "]"]
      text = `...($m===${number}?${open}${close}:${open}${text}${close})`
    }
  }
  return text
}

const counted: Choose = (numbers, base) => {
  const [number, { kind, node }] = numbers[0]!
  if (kind === "statement") return `{$h(${number});${base}}`
  return node.type === "Property" || node.type === "SpreadElement"
    ? `...($h(${number}),{${base}})`
    : `($h(${number}),${base})`
}

const key = (node: Node): string => `${node.type} ${node.start} ${node.end}`

/** The number under which a count of places knows a mutant: that of the first mutant of the same node. */
export const placeOf = (mutant: Mutant, mutants: ReadonlyArray<Mutant>): number =>
  mutants.findIndex(({ node }) => key(node) === key(mutant.node)) + 1

const render = (file: string, code: string, mutants: ReadonlyArray<Mutant>, choose: Choose): string => {
  // parsed anew, so nodes are told apart by what they are and where they lie
  const at = new Map<string, Array<readonly [number, Mutant]>>()
  mutants.forEach((mutant, index) => {
    const numbers = at.get(key(mutant.node)) ?? []
    numbers.push([index + 1, mutant])
    at.set(key(mutant.node), numbers)
  })
  const print = (node: Node): string => {
    if (isType(node)) return code.slice(node.start, node.end)
    let [text, position] = ["", node.start]
    for (const child of children(node)) {
      if (child.start < position) continue
      text += code.slice(position, child.start) + print(child)
      position = child.end
    }
    text += code.slice(position, node.end)
    const numbers = at.get(key(node))
    return numbers === undefined ? text : choose(numbers, text)
  }
  const program = parse(file, code)
  // the program's node may begin behind a comment
  return code.slice(0, program.start) + print(program) + code.slice(program.end)
}

const withHeader = (code: string, header: string): string => {
  const first = code.startsWith("#!") ? code.indexOf("\n") + 1 : 0
  return `${code.slice(0, first)}${header}${code.slice(first)}`
}

/** The file with a switch at each mutant's place. */
export const switchable = (file: string, code: string, mutants: ReadonlyArray<Mutant>): string =>
  mutants.length === 0 ? code : withHeader(
    render(file, code, mutants, switched),
    // a file may have a `process` of its own
    `var $a=globalThis.process.env.${activeVariable},$m=$a?.startsWith(${JSON.stringify(`${file}:`)})?Number($a.slice(${
      file.length + 1
    })):0,$id=(x)=>x;`
  )

/** The file with a count at each mutant's place, see {@link placeOf}; `hits` is the module that counts. */
export const countable = (file: string, code: string, mutants: ReadonlyArray<Mutant>, hits: string): string =>
  mutants.length === 0 ? code : withHeader(
    render(file, code, mutants, counted),
    `import{counter as $counter}from${JSON.stringify(hits)};var $h=$counter(${JSON.stringify(file)},${mutants.length});`
  )

/** The file with one mistake in it, as somebody would have written it. */
export const mutated = (code: string, { edit }: Mutant): string =>
  code.slice(0, edit.start) + edit.text + code.slice(edit.end)
