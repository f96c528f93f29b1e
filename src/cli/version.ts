/**
 * The version that `--version` and run logs report.
 *
 * @since 0.1.0
 */
export const version = "0.1.0"
