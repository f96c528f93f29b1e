/**
 * Losses as value and derivative: pure functions on typed arrays.
 *
 * @since 0.1.0
 */
export * from "./LossConfig.ts"
export * from "./PolicyLoss.ts"
export * from "./ValueLoss.ts"
