/**
 * What the operating system refuses, in words.
 *
 * @since 0.2.0
 */
// Libraries that are not Node's tell the system's errors by number.
// @effect-diagnostics nodeBuiltinImport:off
import { PlatformError } from "effect"
import { constants } from "node:os"

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EISDIR: "this is a directory, a file is needed",
  ENOTDIR: "a part of this path is a file, where a directory is needed",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
  ENOSPC: "no space is left on the device",
  EDQUOT: "the disk quota is used up",
  EFBIG: "the file is larger than the system allows (see ulimit -f, or the limit of the file system)",
  ENAMETOOLONG: "the name is too long",
  ELOOP: "its symbolic links lead in a circle",
  EEXIST: "there is something of this name already",
  ENOTEMPTY: "the directory is not empty",
  EXDEV: "it lies on another device",
  EBUSY: "it is in use by the system",
  ETXTBSY: "it is a program that runs",
  EMFILE: "this process has too many open files (see ulimit -n)",
  ENFILE: "the system has too many open files",
  ENOMEM: "no memory is left",
  EIO: "the device reports an error",
  ESTALE: "the network file system has lost it",
  EPIPE: "whoever read it has gone",
  ENXIO: "nobody reads it",
  EINVAL: "the file system does not take this name or operation",
  EILSEQ: "the file system does not take this name",
  ENOTSUP: "the file system cannot do this",
  Z_BUF_ERROR: "the gzip stream ends too early: the file is cut off",
  Z_DATA_ERROR: "the gzip stream is damaged"
}

const codes = new Map(Object.entries(constants.errno).map(([code, number]) => [number, code]))

/** The code of an error of Node's, or of one of a library in Rust, which ends in "(os error 28)". */
const codeOf = (cause: Error): string | undefined => {
  if ("code" in cause && typeof cause.code === "string") return cause.code
  const number = /\(os error (\d+)\)/.exec(cause.message)?.[1]
  return number === undefined ? undefined : codes.get(Number(number))
}

/**
 * Why a file could not be opened, read or written, in words, where the cause is one of the usual ones. Takes the errors of
 * Node and of libraries in Rust as well as Effect's around them.
 *
 * @category getters
 * @since 0.2.0
 */
export const known = (cause: unknown): string | undefined => {
  if (cause instanceof PlatformError.PlatformError) return known(cause.reason.cause)
  const code = cause instanceof Error ? codeOf(cause) : undefined
  return code === undefined ? undefined : reasons[code]
}

/**
 * Whether an operation failed because nothing is at its path, or a part of the path is a file. Any other failure does not say
 * that: what is there may be something that must not be replaced or removed.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isAbsence = ({ reason }: PlatformError.PlatformError): boolean =>
  reason._tag === "NotFound" || reason._tag === "BadResource"

/** What the device itself says, where what was written may be gone. */
const losses: ReadonlySet<string | undefined> = new Set(["EIO", "ENOSPC", "EDQUOT", "ESTALE"])

/**
 * Whether an operation failed because the device did: what it was to write may be lost.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isLoss = (error: PlatformError.PlatformError): boolean => {
  const { cause } = error.reason
  return cause instanceof Error && losses.has(codeOf(cause))
}

/**
 * Why an operation failed, in words: those of {@link known}, or else what the error says of itself, which for our own
 * errors of files is their `reason` without the path.
 *
 * @category getters
 * @since 0.2.0
 */
export const of = (cause: unknown): string => {
  const words = known(cause)
  if (words !== undefined) return words
  if (!(cause instanceof Error)) return String(cause)
  return "reason" in cause && typeof cause.reason === "string" ? cause.reason : cause.message
}

/**
 * What an operation of the file system failed on and why, in words.
 *
 * @category getters
 * @since 0.2.0
 */
export const located = (error: PlatformError.PlatformError): string => {
  const { reason } = error
  const path = "pathOrDescriptor" in reason ? reason.pathOrDescriptor : undefined
  const words = known(error)
  return words === undefined || typeof path !== "string" ? words ?? error.message : `${path}: ${words}`
}
