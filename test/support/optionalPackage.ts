/**
 * Why an optional package cannot be used here; undefined where it can.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect } from "effect"
import { locate } from "../../src/layers/optional/load.ts"
import type { OptionalPackage } from "../../src/layers/optional/packages.ts"

export const absence = (wanted: OptionalPackage): Promise<string | undefined> =>
  Effect.runPromise(
    locate(wanted).pipe(
      Effect.as(undefined),
      Effect.catch((error) => Effect.succeed(error.message)),
      Effect.provide(NodeServices.layer)
    )
  )
