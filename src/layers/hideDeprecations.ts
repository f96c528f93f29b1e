/**
 * Warnings about the code of packages that are used here.
 *
 * @since 0.1.0
 */

/**
 * Hides what Node says of deprecated functions in this thread, unless it was asked to trace them or to fail: the calls are
 * in other packages, so a user of this one can do nothing about them.
 *
 * @category operations
 * @since 0.1.0
 */
export const hideDeprecations = (): void => {
  const { noDeprecation, throwDeprecation, traceDeprecation } = process
  process.noDeprecation = noDeprecation ?? !(throwDeprecation || traceDeprecation)
}
