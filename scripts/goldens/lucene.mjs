// Asks Lucene itself what its analyzer makes of texts and how it scores passages, for the tests, and what its tokenizer
// takes each character for. Needs Java 11 and Maven:
//
//   node scripts/goldens/lucene.mjs
//
// writes test/golden/lucene.json and src/domain/luceneCharacters.ts anew.
import { execFileSync } from "node:child_process"
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const sources = fileURLToPath(new URL("lucene/", import.meta.url))
const root = fileURLToPath(new URL("../../", import.meta.url))
const version = /lucene-analysis-common<\/artifactId>\s*<version>(.*?)</.exec(
  readFileSync(`${sources}pom.xml`, "utf8")
)?.[1]

const directory = mkdtempSync(join(tmpdir(), "lucene-"))
const run = (command, args, options = {}) =>
  execFileSync(command, args, { cwd: directory, encoding: "utf8", maxBuffer: 1 << 30, ...options })
for (const name of ["pom.xml", "Characters.java", "Goldens.java"]) {
  copyFileSync(`${sources}${name}`, join(directory, name))
}
run("mvn", ["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"])
run("javac", ["-cp", "lib/*", "Characters.java", "Goldens.java"])
const java = (name, input) => run("java", ["-cp", "lib/*:.", name], { input }).trim().split("\n")

// characters

const names = "letter hebrew digit katakana ideograph complex extend joiner midLetter midNumber pictograph".split(" ")

const characters = () => {
  const classes = new Map(
    java("Characters", "").map((line) => {
      const [name, ...ranges] = line.split(" ")
      return [name, ranges.map((range) => range.split("-").map(Number))]
    })
  )
  const encoded = (name) => {
    let last = 0
    const words = classes.get(name).map(([first, end]) => {
      const gap = (first - last).toString(36)
      last = end
      return end === first ? gap : `${gap}+${(end - first).toString(36)}`
    })
    const lines = [""]
    for (const word of words) {
      if (lines.at(-1).length + word.length > 104) lines.push("")
      lines.push(`${lines.pop()}${word} `)
    }
    return lines.map((line, at) => JSON.stringify(at === lines.length - 1 ? line.trimEnd() : line)).join(" +\n    ")
  }
  return `/**
 * What \`StandardTokenizer\` of Lucene ${version} takes every character for, as it says when it is asked. Made by
 * \`scripts/goldens/lucene.mjs\`.
 *
 * @since 0.2.0
 */
import type { Characters } from "./WordBreaks.ts"

/** Ranges of code points in base 36: each begins so far behind the last, and is so much longer than one. */
const ranges: Characters = {
${names.map((name) => `  ${name}: ${encoded(name)}`).join(",\n")}
}

const escape = (point: number): string => \`\\\\u{\${point.toString(16)}}\`

const classOf = (text: string): string => {
  let last = 0
  return text.split(" ").map((range) => {
    const [gap = "", more] = range.split("+")
    const first = last + Number.parseInt(gap, 36)
    last = first + (more === undefined ? 0 : Number.parseInt(more, 36))
    return more === undefined ? escape(first) : \`\${escape(first)}-\${escape(last)}\`
  }).join("")
}

/**
 * Lucene's characters.
 *
 * @category constants
 * @since 0.2.0
 */
export const luceneCharacters: Characters = {
${names.map((name) => `  ${name}: classOf(ranges.${name})`).join(",\n")}
}
`
}

// texts and passages: strings, or lists of [words, how many times]

let state = 1
const random = (below) => {
  state = (state * 48_271) % 0x7fffffff
  return state % below
}
const pick = (list) => list[random(list.length)]

const texts = () => {
  const written = [
    "צה\"ל",
    "רמב״ם",
    "ג'ירפה וצ׳ק",
    "'ג",
    "\"שלום\"",
    "ה\"ל\"ב",
    "א.ה'",
    "תש\"ך תשפ״ד",
    "בי\"ס א', ב'",
    "O'Neil's Orvane’s Orvane＇s 's",
    "M*A*S*H",
    "U.S.A. 3.14 1,024 10:30 a:b",
    "snake_case __init__ _ ___ a__b",
    "co\u00adoperative می\u200cنویسد क्\u200dषमा a\u200bb \ufeffx",
    "café cafe\u0301 ﬁne Ｌｉｓｂｏｎ １２３",
    "北京是中华人民共和国的首都。東京の人口、ニューヨーク・タイムズ",
    "서울은 대한민국의 수도이다",
    "ภาษาไทย ง่าย",
    "ພາສາລາວ",
    "ភាសាខ្មែរ",
    "မြန်မာဘာသာ",
    "हिन्दी भाषा है",
    "বাংলা ভাষা",
    "தமிழ் மொழி",
    "العربية ـ٣٫١٤",
    "Ελληνικά ΣΟΦΟΣ",
    "İstanbul IĞDIR ıhlamur",
    "Straße ẞ ŉ",
    "👍🏻 👨‍👩‍👧 ☎️ 1️⃣ *️⃣ #⃣ 🇩🇪🇫🇷 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ★ ♭ © ™ ℹ",
    "10\u202f000",
    "Ꭰ ꭰ 𐐀 𝐀 𑜀",
    [["x", 300]],
    `é${"x".repeat(299)}`,
    `${"x".repeat(254)}'s`,
    `${"漢".repeat(300)}`
  ]
  const pieces = [
    ..."abS1_'\".,:;-#*²©™ℹⓂ㊗カーひ漢ก\u0e31ກမ២אבה״׳’＇·．：１Ａ\u200c\u200d\u00ad\u0301\ufe0f\u20e3\u202f\u200b ★😀👍🏻👨👩🇩🇪ſİΣß한ـ٠٬م𝐀𑜀",
    "ing",
    "ed",
    "’s",
    " ",
    " "
  ]
  const drawn = Array.from({ length: 160 }, () => Array.from({ length: 3 + random(9) }, () => pick(pieces)).join(""))
  return [...written, ...drawn]
}

const textOf = (spec) =>
  typeof spec === "string" ? spec : spec.map(([word, times]) => Array(times).fill(word).join(" ")).join(" ")

const words = ["tea", "tea", "tea", "tea", "harbour", "harbour", "island", "island", "bridge", "lamp", "owl"]
const short = (count, most) =>
  Array.from({ length: count }, () => Array.from({ length: random(most) }, () => pick(words)).join(" "))

const collections = () => [
  {
    name: "frequencies up to 100,000",
    passages: [
      ...[1, 2, 3, 254, 255, 256, 257, 511, 1000, 65_535, 65_536, 100_000].map((times) => [["tea", times]]),
      [["tea", 255], ["cup", 255]],
      [["tea", 256], ["cup", 1]],
      [["tea", 300], ["pot", 49_700]],
      [["cup", 100_000], ["tea", 99_999]],
      "a cup of tea",
      "no such word"
    ],
    queries: ["tea", "tea cup", "cup cup tea", "pot", "tea tea tea pot such"]
  },
  {
    name: "empty, without a term, one word and 50,000 words",
    passages: [
      "",
      "tea",
      "",
      "the of and",
      "?!",
      "cup",
      [["tea", 1], ["filler", 49_999]],
      [["tea", 10], ["cup", 10], ["filler", 49_980]],
      "tea cup",
      "",
      "a tea",
      "tea tea",
      " \n\t ",
      "filler"
    ],
    queries: ["tea", "cup", "tea cup", "filler tea", "the of", "", "absent"]
  },
  { name: "only empty passages", passages: ["", "", "the"], queries: ["tea", "the"] },
  { name: "one passage", passages: ["tea"], queries: ["tea", "tea tea", "cup"] },
  {
    name: "many passages that are equally good",
    passages: short(150, 9),
    queries: ["tea", "harbour island", "bridge lamp owl tea", "owl owl tea harbour island"]
  },
  {
    name: "lengths where rounding begins",
    passages: [
      22,
      23,
      24,
      25,
      39,
      40,
      41,
      55,
      56,
      57,
      87,
      88,
      96,
      100,
      103,
      104,
      151,
      152,
      279,
      280,
      535,
      536,
      1047,
      1048,
      4119,
      4120
    ]
      .map((length) => [["tea", 1], ["filler", length - 1]]),
    queries: ["tea", "filler tea"]
  },
  {
    name: "Hebrew",
    passages: ["צה\"ל הוקם בשנת תש\"ח", "צה״ל", "צה ל", "הרמב״ם נולד בקורדובה", "הרמב\"ם", "ג'ירפה ג'", "ג ירפה", ""],
    queries: ["צה\"ל", "צה״ל", "הרמב״ם", "תש\"ח", "ג'ירפה", "ג'", "ל"]
  }
]

const hex = (text) =>
  Array.from({ length: text.length }, (_, at) => text.charCodeAt(at).toString(16).padStart(4, "0")).join("")
const unhex = (text) => text.replaceAll(/..../g, (unit) => String.fromCharCode(Number.parseInt(unit, 16)))

const topK = 30

const goldens = () => {
  const analyses = texts()
  const searches = collections()
  const input = [
    ...analyses.map((spec) => `A ${hex(textOf(spec))}`),
    ...searches.flatMap(({ passages, queries }) => [
      "N",
      ...passages.map((spec) => `P ${hex(textOf(spec))}`),
      ...queries.map((query) => `Q ${topK} ${hex(query)}`)
    ])
  ]
  const answers = java("Goldens", `${input.join("\n")}\n`)[Symbol.iterator]()
  const next = () => answers.next().value.split(" ").slice(1)
  return {
    lucene: version,
    analyses: analyses.map((spec) => [spec, next().map(unhex)]),
    searches: searches.map(({ name, passages, queries }) => ({
      name,
      passages,
      topK,
      queries: queries.map((query) => [query, next().map((hit) => hit.split(":").map(Number))])
    }))
  }
}

/** One line for each thing asked. */
const print = ({ analyses, lucene, searches }) => {
  const list = (items, indent) => items.map((item) => `${indent}${JSON.stringify(item)}`).join(",\n")
  const printed = searches.map(({ name, passages, queries, topK }) =>
    `    {\n      "name": ${JSON.stringify(name)},\n      "topK": ${topK},\n      "passages": ${
      JSON.stringify(passages)
    },\n` +
    `      "queries": [\n${list(queries, "        ")}\n      ]\n    }`
  )
  return `{\n  "lucene": "${lucene}",\n  "analyses": [\n${list(analyses, "    ")}\n  ],\n  "searches": [\n${
    printed.join(",\n")
  }\n  ]\n}\n`
}

try {
  writeFileSync(`${root}src/domain/luceneCharacters.ts`, characters())
  writeFileSync(`${root}test/golden/lucene.json`, print(goldens()))
} finally {
  rmSync(directory, { recursive: true })
}
