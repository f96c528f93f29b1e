/**
 * The file system for whatever has to leave nothing behind: a change that was begun is awaited.
 *
 * No system's operation can be called back. One that an interruption leaves alone goes on by itself, and may make a file
 * after whoever cleans up has looked for it, or write to the next file that gets the number of a closed one.
 *
 * @since 0.2.0
 */
import { Effect, FileSystem } from "effect"

const wait = <Args extends ReadonlyArray<unknown>, A, E, R>(
  change: (...args: Args) => Effect.Effect<A, E, R>
) =>
(...args: Args): Effect.Effect<A, E, R> => Effect.uninterruptible(change(...args))

const file = (file: FileSystem.File): FileSystem.File => ({
  [FileSystem.FileTypeId]: FileSystem.FileTypeId,
  stat: file.stat,
  seek: (offset, from) => file.seek(offset, from),
  read: wait((buffer, options) => file.read(buffer, options)),
  readAlloc: wait((size, options) => file.readAlloc(size, options)),
  sync: Effect.uninterruptible(file.sync),
  truncate: wait((length) => file.truncate(length)),
  write: wait((bytes) => file.write(bytes)),
  writeAll: wait((bytes) => file.writeAll(bytes))
})

/**
 * `fs`, of which an interruption comes between two operations: one that changes something, or uses an open file, is
 * uninterruptible.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (fs: FileSystem.FileSystem): FileSystem.FileSystem =>
  FileSystem.make({
    ...fs,
    chmod: wait(fs.chmod),
    copy: wait(fs.copy),
    copyFile: wait(fs.copyFile),
    link: wait(fs.link),
    makeDirectory: wait(fs.makeDirectory),
    makeTempDirectory: wait(fs.makeTempDirectory),
    open: (path, options) => Effect.map(fs.open(path, options), file),
    remove: wait(fs.remove),
    rename: wait(fs.rename),
    truncate: wait(fs.truncate),
    writeFile: wait(fs.writeFile)
  })

/**
 * Gives an effect the file system that {@link make} makes of its own.
 *
 * @category combinators
 * @since 0.2.0
 */
export const settled = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, Exclude<R, FileSystem.FileSystem> | FileSystem.FileSystem> =>
  Effect.provideServiceEffect(effect, FileSystem.FileSystem, Effect.map(FileSystem.FileSystem, make))
