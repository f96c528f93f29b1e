/**
 * All subcommands in the order in which `--help` lists them.
 *
 * @since 0.1.0
 */
import { ablate } from "./ablate.ts"
import { ask } from "./ask.ts"
import { data } from "./data.ts"
import { demo } from "./demo.ts"
import { device } from "./device.ts"
import { evaluate } from "./evaluate.ts"
import { index } from "./indexes.ts"
import { logits } from "./logits.ts"
import { pretrain } from "./pretrain.ts"
import { rollout } from "./rollout.ts"
import { runs } from "./runs.ts"
import { score } from "./score.ts"
import { search } from "./search.ts"
import { serve } from "./serve.ts"
import { sft } from "./sft.ts"
import { start } from "./start.ts"
import { train } from "./train.ts"
import { world } from "./world.ts"

export const commands = [
  start,
  train,
  evaluate,
  ask,
  runs,
  ablate,
  pretrain,
  sft,
  world,
  search,
  index,
  serve,
  score,
  rollout,
  data,
  demo,
  device,
  logits
] as const
