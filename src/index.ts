/**
 * @since 0.1.0
 */
export * as Document from "./domain/Document.ts"
export * as Presets from "./domain/Presets.ts"
export * from "./domain/Question.ts"
export * as Sampling from "./domain/Sampling.ts"
export * as Trajectory from "./domain/Trajectory.ts"
export * from "./services/Checkpoints.ts"
export * from "./services/Policy.ts"
export * from "./services/Questions.ts"
export * from "./services/Retriever.ts"
export * from "./services/Reward.ts"
export * from "./services/RunLog.ts"
export * from "./services/Tokenizer.ts"
