/**
 * The operations that a transformer is made of, each a fused kernel where the device has one and a composition of plain
 * tfjs operations elsewhere.
 *
 * @since 0.1.0
 */
export * from "./adamW.ts"
export * from "./attention.ts"
export * from "./captured.ts"
export * from "./embedding.ts"
export * from "./kernel.ts"
export * from "./matMulAdd.ts"
export * from "./packing.ts"
export * from "./paged.ts"
export * from "./rmsNorm.ts"
export * from "./rope.ts"
export * from "./sample.ts"
export * from "./swiGlu.ts"
export * from "./tokenLogProb.ts"
