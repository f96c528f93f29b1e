/**
 * An engine that answers the RPC group.
 *
 * @since 0.1.0
 */
import { Deferred, Effect, Exit, type FileSystem, Layer, Option, type Path, Queue, Scope, Stream } from "effect"
import { LearnerUnavailable } from "../../../services/Optimizer.ts"
import { type PolicyError, type PolicySession, PolicyUnavailable } from "../../../services/Policy.ts"
import * as DeviceCpu from "../../device/DeviceCpu.ts"
import * as DeviceTensorFlow from "../../device/DeviceTensorFlow.ts"
import * as DeviceTorch from "../../device/DeviceTorch.ts"
import * as DeviceWasm from "../../device/DeviceWasm.ts"
import * as Pretrained from "../../model/Pretrained.ts"
import * as Engine from "./Engine.ts"
import { EngineRpcs, type Spoken, type StartOptions } from "./EngineRpcs.ts"

/**
 * The layer of a device that plain data names.
 *
 * @category layers
 * @since 0.1.0
 */
export const deviceLayer = ({ device, limitBytes, threads }: StartOptions) => {
  switch (device) {
    case "wasm":
      return DeviceWasm.layer({ threads, limitBytes })
    case "tensorflow":
      return DeviceTensorFlow.layer({ limitBytes })
    case "torch":
      return DeviceTorch.layer()
    case "cpu":
      return DeviceCpu.layer({ limitBytes })
  }
}

/**
 * An engine with its own device, as plain data describes it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const start = Effect.fn("EngineServer.start")(function*(options: StartOptions) {
  const { tokenizer, weights } = yield* Pretrained.open(options.model)
  const services = yield* Layer.build(deviceLayer(options))
  return yield* Engine.make(weights, tokenizer, options).pipe(Effect.provideContext(services))
})

const noCritic = new LearnerUnavailable({ reason: "the engine was started without a critic" })

const noSession = new PolicyUnavailable({ reason: "the session has ended" })

/**
 * Handlers of the group: the engine starts with the first `Start`, and everything else waits for it.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<
  Layer.Success<ReturnType<typeof handlers>>,
  never,
  FileSystem.FileSystem | Path.Path
> = Layer.unwrap(Effect.gen(function*() {
  const scope = yield* Effect.scope
  const services = yield* Effect.context<FileSystem.FileSystem | Path.Path>()
  return handlers(scope, (options) => Effect.provideContext(start(options), services))
}))

function handlers(
  scope: Scope.Scope,
  launch: (
    options: StartOptions
  ) => Effect.Effect<Engine.LocalEngine, Effect.Error<ReturnType<typeof start>>, Scope.Scope>
) {
  const started = Deferred.makeUnsafe<Engine.LocalEngine>()
  const sessions = new Map<number, { readonly session: PolicySession; readonly scope: Scope.Closeable }>()
  let lastSession = 0
  const engine = Deferred.await(started)
  const sessionOf = (id: number) => {
    const open = sessions.get(id)
    return open === undefined ? Effect.fail(noSession) : Effect.succeed(open.session)
  }
  const critic = Effect.flatMap(
    engine,
    (engine) => Option.match(engine.critic, { onNone: () => Effect.fail(noCritic), onSome: Effect.succeed })
  )
  return EngineRpcs.toLayer({
    Start: Effect.fnUntraced(function*(options) {
      const engine = yield* launch(options).pipe(Scope.provide(scope))
      yield* Deferred.succeed(started, engine)
      return { config: engine.config, contextLength: engine.policy.contextLength }
    }),
    Version: () => Effect.flatMap(engine, (engine) => engine.policy.version),
    Open: Effect.fnUntraced(function*({ options }) {
      const { policy } = yield* engine
      const own = yield* Scope.fork(scope)
      const session = yield* policy.session(options).pipe(Scope.provide(own))
      const id = ++lastSession
      sessions.set(id, { session, scope: own })
      return id
    }),
    Append: ({ ids, session }) => Effect.flatMap(sessionOf(session), (open) => open.append(ids)),
    Generate: ({ options, session }) => Effect.flatMap(sessionOf(session), (open) => open.generate(options)),
    GenerateAloud: ({ options, session }) =>
      Stream.callback<Spoken, PolicyError>((queue) =>
        Effect.gen(function*() {
          const open = yield* sessionOf(session)
          const generation = yield* open.generate(options, (piece) => Queue.offer(queue, { piece }))
          yield* Queue.offer(queue, { generation })
          yield* Queue.end(queue)
        })
      ),
    Close: Effect.fnUntraced(function*({ session }) {
      const open = sessions.get(session)
      sessions.delete(session)
      if (open !== undefined) yield* Scope.close(open.scope, Exit.void)
    }),
    LogProbs: Effect.fnUntraced(function*({ of, sequences, temperature }) {
      const { policy, reference } = yield* engine
      if (of === "policy") return yield* policy.logProbs(sequences, { temperature })
      if (Option.isNone(reference)) {
        return yield* new PolicyUnavailable({ reason: "the engine was started without a reference policy" })
      }
      return yield* reference.value.logProbs(sequences, { temperature })
    }),
    Update: ({ batch, options }) => Effect.flatMap(engine, ({ optimizer }) => optimizer.update(batch, options)),
    State: ({ of }) =>
      of === "actor"
        ? Effect.flatMap(engine, ({ optimizer }) => optimizer.state)
        : Effect.flatMap(critic, (critic) => critic.state),
    Restore: ({ of, state }) =>
      of === "actor"
        ? Effect.flatMap(engine, ({ optimizer }) => optimizer.restore(state))
        : Effect.flatMap(critic, (critic) => critic.restore(state)),
    Values: ({ sequences }) => Effect.flatMap(critic, (critic) => critic.values(sequences)),
    UpdateCritic: ({ batch, options }) => Effect.flatMap(critic, (critic) => critic.update(batch, options)),
    ReadWeight: (tensor) => Effect.flatMap(engine, ({ readWeight }) => readWeight(tensor))
  })
}
