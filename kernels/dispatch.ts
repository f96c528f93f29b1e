import { attentionChunk, attentionGradChunk } from "./attention"
import { binaryChunk, unaryChunk } from "./elementwise"
import { gemmChunk, packChunk } from "./gemm"
import { logProbGradTileChunk, logProbTileChunk } from "./logprob"
import { fillChunk, gatherChunk, scatterAddChunk, stridedCopyChunk } from "./move"
import { rmsNormChunk, rmsNormGradChunk } from "./norm"
import { adamWChunk, sumSquaresChunk } from "./optimizer"
import { kvAppendChunk, pagedAttentionChunk } from "./paged"
import { reduceChunk, softmaxChunk } from "./reduce"
import { ropeChunk } from "./rope"
import { sampleChunk } from "./sample"
import { swiGluChunk, swiGluGradChunk } from "./swiglu"

/** Runs chunk `index` of a kernel. The numbers are those of src/layers/device/wasm/abi.ts. */
export function runChunk(kernel: i32, index: i32): void {
  switch (kernel) {
    case 1:
      return gemmChunk(index)
    case 2:
      return rmsNormChunk(index)
    case 3:
      return rmsNormGradChunk(index)
    case 4:
      return ropeChunk(index)
    case 5:
      return swiGluChunk(index)
    case 6:
      return swiGluGradChunk(index)
    case 7:
      return attentionChunk(index)
    case 8:
      return attentionGradChunk(index)
    case 9:
      return pagedAttentionChunk(index)
    case 10:
      return kvAppendChunk(index)
    case 11:
      return logProbTileChunk(index)
    case 12:
      return logProbGradTileChunk(index)
    case 13:
      return adamWChunk(index)
    case 14:
      return sumSquaresChunk(index)
    case 15:
      return sampleChunk(index)
    case 16:
      return binaryChunk(index)
    case 17:
      return unaryChunk(index)
    case 18:
      return reduceChunk(index)
    case 19:
      return softmaxChunk(index)
    case 20:
      return gatherChunk(index)
    case 21:
      return scatterAddChunk(index)
    case 22:
      return stridedCopyChunk(index)
    case 23:
      return fillChunk(index)
    case 24: return packChunk(index)
    default:
      unreachable()
  }
}
