/**
 * Finding a PyTorch to build against.
 *
 * @since 0.1.0
 */
import { Config, Effect, FileSystem, Option, Path, Schema } from "effect"
import { command, tail } from "../../command.ts"
import { TorchInstallError } from "./TorchInstallError.ts"

/**
 * A PyTorch on this machine. `directory` holds `include` and `lib`; `cuda` is the version that it was built for, and
 * `usable` tells whether it sees a card.
 *
 * @category models
 * @since 0.1.0
 */
export interface PyTorch {
  readonly directory: string
  readonly version: string
  readonly cuda: string | null
  readonly usable: boolean
}

/** The oldest PyTorch with all operators that the device calls. */
const oldest = [2, 8] as const

const probe = `
import json, torch
print("\\n" + json.dumps({"directory": torch.__path__[0], "version": torch.__version__, "cuda": torch.version.cuda, "usable": torch.cuda.is_available()}))
`

const Probed = Schema.fromJsonString(Schema.Struct({
  directory: Schema.String,
  version: Schema.String,
  cuda: Schema.NullOr(Schema.String),
  usable: Schema.Boolean
}))

const mend =
  "Install PyTorch (pip install torch), or name another Python with --python, or a libtorch directory with --from"

const fromPython = Effect.fnUntraced(function*(program: string) {
  const { code, found, output } = yield* command(program, ["-c", probe])
  if (!found) return yield* new TorchInstallError({ lacks: "python", reason: `there is no ${program}`, mend })
  if (code !== 0) {
    const reason = /No module named '?torch/.test(output)
      ? `${program} has no PyTorch`
      : `${program} cannot load its PyTorch:\n  ${tail(output)}\n`
    return yield* new TorchInstallError({ lacks: "torch", reason, mend })
  }
  const line = output.trim().split("\n").at(-1) ?? ""
  return yield* Effect.mapError(
    Schema.decodeEffect(Probed)(line),
    () => new TorchInstallError({ lacks: "torch", reason: `${program} told nothing about its PyTorch: ${line}`, mend })
  )
})

const hasCard = Effect.map(command("nvidia-smi", ["-L"]), ({ code }) => code === 0)

const fromDirectory = Effect.fnUntraced(function*(given: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const directory = path.resolve(given)
  const header = path.join(directory, "include", "torch", "csrc", "api", "include", "torch", "version.h")
  const text = yield* Effect.mapError(
    fs.readFileString(header),
    () =>
      new TorchInstallError({
        lacks: "torch",
        reason: `${directory} holds no libtorch: ${header} is not there`,
        mend: "Name the directory that holds include and lib, such as libtorch or …/site-packages/torch"
      })
  )
  const part = (name: string) => new RegExp(`TORCH_VERSION_${name} (\\d+)`).exec(text)?.[1] ?? "0"
  const version = `${part("MAJOR")}.${part("MINOR")}.${part("PATCH")}`
  const withCuda = yield* Effect.orElseSucceed(fs.exists(path.join(directory, "lib", "libtorch_cuda.so")), () => false)
  return { directory, version, cuda: withCuda ? "CUDA" : null, usable: withCuda && (yield* hasCard) }
})

/**
 * The PyTorch of a directory, of a Python, or of the first Python on the path that has one.
 *
 * @category getters
 * @since 0.1.0
 */
export const findPyTorch = Effect.fnUntraced(function*(
  options: { readonly python?: string | undefined; readonly from?: string | undefined }
) {
  const found: PyTorch = options.from !== undefined
    ? yield* fromDirectory(options.from)
    : options.python !== undefined
    ? yield* fromPython(options.python)
    : yield* Effect.catch(
      fromPython("python3"),
      (first) => Effect.mapError(fromPython("python"), (second) => first.lacks === "python" ? second : first)
    )
  const [major = 0, minor = 0] = found.version.split(".").map((digits) => Number.parseInt(digits, 10))
  if (major < oldest[0] || (major === oldest[0] && minor < oldest[1])) {
    return yield* new TorchInstallError({
      lacks: "torch",
      reason: `the PyTorch in ${found.directory} is ${found.version}, ${oldest.join(".")} or later is needed`,
      mend: "Upgrade it: pip install --upgrade torch"
    })
  }
  return found
})

/**
 * Directories with CUDA's headers and libraries for a PyTorch with CUDA.
 *
 * @category getters
 * @since 0.1.0
 */
export const findCuda = Effect.fnUntraced(function*(torch: PyTorch) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const home = yield* Config.option(Config.String("CUDA_HOME")).pipe(Effect.orElseSucceed(() => Option.none<string>()))
  const packages = path.join(torch.directory, "..", "nvidia")
  const bundled = (yield* fs.readDirectory(packages).pipe(Effect.orElseSucceed((): Array<string> => [])))
    .map((name) => path.join(packages, name))
  const nvcc = yield* command("sh", ["-c", "readlink -f \"$(command -v nvcc)\""])
  const compiler = nvcc.code === 0 && nvcc.output.trim() !== "" ? [path.join(nvcc.output.trim(), "..", "..")] : []
  const roots = [...Option.toArray(home), ...bundled, ...compiler, "/usr/local/cuda"]
  const having = (file: string) =>
    Effect.filter(roots, (root) => Effect.orElseSucceed(fs.exists(path.join(root, file)), () => false))
  const include = yield* having("include/cuda_runtime_api.h")
  const complete = yield* having("include/crt/host_defines.h")
  const nvrtc = yield* having("include/nvrtc.h")
  if (include.length === 0 || complete.length === 0 || nvrtc.length === 0) {
    const missing = include.length === 0
      ? "cuda_runtime_api.h"
      : complete.length === 0
      ? "crt/host_defines.h"
      : "nvrtc.h"
    return yield* new TorchInstallError({
      lacks: "cuda",
      reason: `CUDA's header ${missing} was not found in ${roots.join(", ")}`,
      mend: `Install the toolkit of CUDA ${torch.cuda ?? ""} and set CUDA_HOME, or its packages ` +
        "(pip install nvidia-cuda-runtime nvidia-cuda-crt nvidia-cuda-nvrtc)"
    })
  }
  const libraries: Array<string> = []
  for (const root of roots) {
    for (const name of ["lib", "lib64"]) {
      const directory = path.join(root, name)
      const files = yield* fs.readDirectory(directory).pipe(Effect.orElseSucceed((): Array<string> => []))
      for (const file of files) {
        if (/^lib(cudart|nvrtc)\.so\.\d+$/.test(file)) libraries.push(path.join(directory, file))
      }
    }
  }
  const library = (name: string) => libraries.find((file) => path.basename(file).startsWith(`lib${name}.so`))
  const [runtime, nvrtcLibrary] = [library("cudart"), library("nvrtc")]
  if (runtime === undefined || nvrtcLibrary === undefined) {
    return yield* new TorchInstallError({
      lacks: "cuda",
      reason: `lib${runtime === undefined ? "cudart" : "nvrtc"}.so was not found in ${roots.join(", ")}`,
      mend: "Install the CUDA toolkit and set CUDA_HOME"
    })
  }
  return {
    include: [...new Set([...include.slice(0, 1), ...complete.slice(0, 1), ...nvrtc.slice(0, 1)])].map((root) =>
      path.join(root, "include")
    ),
    libraries: [runtime, nvrtcLibrary]
  }
})
