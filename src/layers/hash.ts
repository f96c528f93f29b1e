/**
 * Content hashes and unique names of stored files.
 *
 * @since 0.1.0
 */
// Effect's Crypto digests asynchronously and in one piece; keys are wanted at once and corpora hashed as they stream by.
// @effect-diagnostics nodeBuiltinImport:off
import { createHash, type Hash, randomUUID } from "node:crypto"

/**
 * SHA-256 of a text as 64 hexadecimal digits.
 *
 * @category hashing
 * @since 0.1.0
 */
export const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex")

/**
 * A SHA-256 that is fed piece by piece.
 *
 * @category hashing
 * @since 0.1.0
 */
export const incremental = (): Hash => createHash("sha256")

/**
 * A name that nobody else uses, independent of any seed.
 *
 * @category constructors
 * @since 0.1.0
 */
export const uniqueName = (): string => randomUUID()
