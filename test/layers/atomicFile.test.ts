import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import * as AtomicFile from "../../src/layers/atomicFile.ts"
import * as SystemReason from "../../src/layers/systemReason.ts"
import { refusing } from "../support/refusingFiles.ts"

const directory = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped())

/** Whether this user is stopped by permissions. */
const isOrdinary = process.getuid?.() !== 0

const reasonOf = (path: string) =>
  Effect.map(Effect.flip(AtomicFile.writeString(path, "new")), (error) => {
    assert.strictEqual(error._tag, "FileUnwritable")
    assert.strictEqual(error.message, `${error.path}: cannot be written: ${error.reason}`)
    return error.reason
  })

describe("AtomicFile", () => {
  it.effect("replaces what was there, with its permissions, through a link that stays one", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const root = yield* directory
      yield* fs.writeFileString(`${root}/file`, "old")
      yield* fs.chmod(`${root}/file`, 0o640)
      yield* fs.makeDirectory(`${root}/elsewhere`)
      yield* fs.symlink("../file", `${root}/elsewhere/link`)
      yield* AtomicFile.writeString(`${root}/elsewhere/link`, "new")
      assert.strictEqual(yield* fs.readFileString(`${root}/file`), "new")
      assert.strictEqual((yield* fs.stat(`${root}/file`)).mode & 0o777, 0o640)
      assert.strictEqual(yield* fs.readLink(`${root}/elsewhere/link`), "../file")
      assert.deepStrictEqual((yield* fs.readDirectory(root)).toSorted(), ["elsewhere", "file"])
      // a link to what is not there yet
      yield* fs.symlink(`${root}/later/made`, `${root}/dangling`)
      yield* AtomicFile.writeString(`${root}/dangling`, "made")
      assert.strictEqual(yield* fs.readFileString(`${root}/later/made`), "made")
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("writes names as long as the file system takes", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const root = yield* directory
      const name = "ä".repeat(127)
      yield* AtomicFile.writeString(`${root}/${name}`, "whole")
      assert.deepStrictEqual(yield* fs.readDirectory(root), [name])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("writes pipes and devices as they are", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      yield* AtomicFile.writeString("/dev/null", "gone")
      assert.strictEqual((yield* fs.stat("/dev/null")).type, "CharacterDevice")
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("says in words why a file cannot be written", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const root = yield* directory
      yield* fs.writeFileString(`${root}/file`, "old")
      assert.strictEqual(yield* reasonOf(root), "this is a directory, a file is needed")
      assert.strictEqual(yield* reasonOf(`${root}/new/`), "this is a directory, a file is needed")
      assert.strictEqual(
        yield* reasonOf(`${root}/file/new`),
        "a part of this path is a file, where a directory is needed"
      )
      assert.strictEqual(yield* reasonOf(`${root}/${"a".repeat(256)}`), "the name is too long")
      assert.strictEqual(yield* reasonOf(""), "a file needs a name")
      if (process.platform === "linux") {
        assert.strictEqual(yield* reasonOf("/dev/full"), "no space is left on the device")
        assert.strictEqual(yield* reasonOf("/proc/new"), "no file can be made there")
      }
      yield* fs.symlink(`${root}/b`, `${root}/a`)
      yield* fs.symlink(`${root}/a`, `${root}/b`)
      assert.strictEqual(yield* reasonOf(`${root}/a`), "its symbolic links lead in a circle")
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect.skipIf(!isOrdinary)("respects write protection, of files and of directories", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const root = yield* directory
      yield* fs.writeFileString(`${root}/file`, "old")
      yield* fs.chmod(`${root}/file`, 0o444)
      assert.strictEqual(yield* reasonOf(`${root}/file`), "permission denied")
      yield* fs.chmod(root, 0o555)
      assert.strictEqual(yield* reasonOf(`${root}/new`), "permission denied")
      yield* fs.chmod(root, 0o755)
      assert.strictEqual(yield* fs.readFileString(`${root}/file`), "old")
    }).pipe(Effect.provide(NodeServices.layer)))

  for (
    const [code, words] of [
      ["ENOSPC", "no space is left on the device"],
      ["EDQUOT", "the disk quota is used up"],
      ["EFBIG", "the file is larger than the system allows"],
      ["EROFS", "the file system is read-only"],
      ["EIO", "the device reports an error"]
    ] as const
  ) {
    it.effect(`keeps what was there where the system says ${code}, and leaves nothing beside it`, () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const root = yield* directory
        const path = `${root}/file`
        yield* fs.writeFileString(path, "old")
        const reason = yield* reasonOf(path).pipe(
          Effect.provide(refusing(code, (written) => written.startsWith(root)))
        )
        assert.include(reason, words)
        assert.strictEqual(yield* fs.readFileString(path), "old")
        assert.deepStrictEqual(yield* fs.readDirectory(root), ["file"])
      }).pipe(Effect.provide(NodeServices.layer)))
  }
})

describe("SystemReason", () => {
  it("knows the errors of libraries in Rust by their number, and leaves others as they are", () => {
    assert.strictEqual(
      SystemReason.of(new Error("lance error: IO: No space left on device (os error 28), rust/src/io.rs:1")),
      "no space is left on the device"
    )
    assert.strictEqual(SystemReason.of(new Error("something else")), "something else")
    assert.strictEqual(SystemReason.of("text"), "text")
  })
})
