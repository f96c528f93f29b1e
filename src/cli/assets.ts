/**
 * Files that ship with the package.
 *
 * @since 0.1.0
 */
import { fileURLToPath } from "node:url"

const asset = (path: string): string => fileURLToPath(new URL(`../../assets/${path}`, import.meta.url))

/**
 * The base model of the search world, made by `search-r1 pretrain`.
 *
 * @category constants
 * @since 0.1.0
 */
export const shippedModel: string = asset("base-model")

/**
 * @category getters
 * @since 0.1.0
 */
export const demoFile = (name: "corpus" | "questions" | "script"): string => asset(`demo/${name}.jsonl`)
