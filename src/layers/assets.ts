/**
 * Files that ship with the package.
 *
 * @since 0.1.0
 */
import { fileURLToPath } from "node:url"

const asset = (path: string): string => fileURLToPath(new URL(`../../assets/${path}`, import.meta.url))

/**
 * The directory of the base model of the search world, made by `search-r1 pretrain`.
 *
 * @category constants
 * @since 0.1.0
 */
export const shippedModel: string = asset("base-model")

/**
 * The corpus, the questions and the policy's script that `search-r1 demo` shows, as paths of files.
 *
 * @category getters
 * @since 0.1.0
 */
export const demoFile = (name: "corpus" | "questions" | "script"): string => asset(`demo/${name}.jsonl`)
