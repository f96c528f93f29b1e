/**
 * The words that the fictional encyclopedia is written with. They are few, so that a model of a million weights can
 * learn to read it; names are put together from parts that all entities share, so that none can be memorised.
 *
 * @since 0.1.0
 */

const first = ["ka", "mi", "to", "ra", "lu", "ve", "so", "ni", "da", "fe", "gu", "ho", "ja", "pe", "ri", "su"]
const second = ["len", "dor", "vik", "mar", "sol", "tan", "ber", "quin", "rash", "zel"]

/**
 * The 160 name parts, from `kalen` to `suzel`.
 *
 * @category constants
 * @since 0.1.0
 */
export const nameParts: ReadonlyArray<string> = first.flatMap((head) => second.map((tail) => head + tail))

/**
 * Last words of company names.
 *
 * @category constants
 * @since 0.1.0
 */
export const companyWords: ReadonlyArray<string> = ["works", "labs", "motors", "foods", "mills", "group"]

/**
 * Last words of city names.
 *
 * @category constants
 * @since 0.1.0
 */
export const cityWords: ReadonlyArray<string> = ["ville", "port", "burg", "ford", "ton", "haven"]

/**
 * Last words of country names.
 *
 * @category constants
 * @since 0.1.0
 */
export const countryWords: ReadonlyArray<string> = ["ia", "land", "stan"]

/**
 * What people do.
 *
 * @category constants
 * @since 0.1.0
 */
export const jobs: ReadonlyArray<string> = [
  "baker",
  "pilot",
  "doctor",
  "singer",
  "farmer",
  "judge",
  "painter",
  "chemist",
  "sailor",
  "teacher",
  "lawyer",
  "miner",
  "poet",
  "smith"
]

/**
 * What companies make and cities are known for.
 *
 * @category constants
 * @since 0.1.0
 */
export const products: ReadonlyArray<string> = [
  "lamps",
  "boats",
  "shoes",
  "clocks",
  "cheese",
  "tiles",
  "ropes",
  "drums",
  "kites",
  "soap",
  "glass",
  "maps",
  "bells",
  "honey",
  "paper",
  "carts",
  "wine",
  "silk",
  "salt",
  "tools"
]

/**
 * All other words and signs of passages, questions and thoughts.
 *
 * @category constants
 * @since 0.1.0
 */
export const grammar: ReadonlyArray<string> =
  ("they it was born in a native of grew up works work for is employed by the employer married to spouse partner " +
    "profession earns living as founded started based its offices are makes produces lies belongs mayor governs known " +
    "famous who where what which does do country birthplace founder home ? . : look done").split(" ")

/**
 * Words of comparison and yes/no questions.
 *
 * @category constants
 * @since 0.1.0
 */
export const comparing: ReadonlyArray<string> = ["yes", "no", "and", "or", "have", "same", "thing"]

/**
 * Forms of a word that share its token.
 *
 * @category constants
 * @since 0.1.0
 */
export const forms: ReadonlyArray<readonly [form: string, word: string]> = [
  ["were", "was"],
  ["make", "makes"],
  ["produce", "produces"],
  ["govern", "governs"]
]
