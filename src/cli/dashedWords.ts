/**
 * Values that begin with a dash, which a command line reads as flags: `-pier` as `-p -i -e -r`.
 *
 * @since 0.2.0
 */
import type { CliError, HelpDoc } from "effect/cli"
import { shellWord } from "../domain/ShellWord.ts"

/**
 * A word that was read as flags, what it should have been written as, and whose errors follow from that.
 *
 * @category models
 * @since 0.2.0
 */
export interface DashedWord {
  readonly message: string
  readonly explains: (error: CliError.CliError) => boolean
}

const isMissing = (error: CliError.CliError, option: string): boolean =>
  error._tag === "InvalidValue" && error.option === option && error.value === ""

/**
 * The first word of a command line that was likely meant to be a value. `command` is what begins the command.
 *
 * @category getters
 * @since 0.2.0
 */
export const find = (
  errors: ReadonlyArray<CliError.CliError>,
  args: ReadonlyArray<string>,
  doc: HelpDoc.HelpDoc,
  command: string
): DashedWord | undefined => {
  const end = args.indexOf("--")
  const words = end < 0 ? args : args.slice(0, end)
  const flags = [...doc.flags, ...doc.inheritedFlags ?? [], ...doc.globalFlags ?? []]
  for (const [index, word] of words.entries()) {
    if (!/^-[^-]/.test(word)) continue
    const letters = new Set(Array.from(word.slice(1).replace(/=.*/s, ""), (letter) => `-${letter}`))
    const unknown = errors.some((error) => error._tag === "UnrecognizedOption" && letters.has(error.option))
    const within = new Set(
      flags.filter(({ aliases }) => aliases.some((alias) => letters.has(alias))).map(({ name }) => name)
    )
    const before = words[index - 1] ?? ""
    const owner = flags.find(({ aliases, name }) => `--${name}` === before || aliases.includes(before))
    const ownerLacks = owner !== undefined && errors.some((error) => isMissing(error, owner.name))
    if (!unknown && !ownerLacks) continue
    const explains = (error: CliError.CliError): boolean =>
      error._tag === "UnrecognizedOption"
        ? letters.has(error.option)
        : error._tag === "MissingArgument" ||
          (error._tag === "InvalidValue" && error.value === "" &&
            (within.has(error.option) || (ownerLacks && error.option === owner.name)))
    if (ownerLacks) {
      return {
        message: `--${owner.name} needs a value: one that begins with a dash is written --${owner.name}=${
          shellWord(word)
        }`,
        explains
      }
    }
    if (word.length < 3) continue
    const [, letter = "", rest = ""] = /^(-[A-Za-z])(\d.*)$/s.exec(word) ?? []
    const joined = flags.find(({ aliases, type }) => type !== "boolean" && aliases.includes(letter))
    if (joined !== undefined) return { message: `${word}: write ${letter} ${rest}`, explains }
    if ((doc.args ?? []).length === 0) continue
    return {
      message: `${
        shellWord(word)
      } begins with a dash and is read as flags; text that does so stands behind --:\n  ${command} … -- ${
        shellWord(word)
      }`,
      explains
    }
  }
  return undefined
}
