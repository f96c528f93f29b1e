/**
 * Passages in many languages.
 */
import type { Document } from "../../src/domain/Document.ts"

interface Language {
  readonly name: string
  readonly title: string
  readonly text: string
  /** Nothing separates words. */
  readonly runs?: boolean
}

const languages: ReadonlyArray<Language> = [
  {
    name: "English",
    title: "Orvane",
    text: "Orvane's mill wasn't built in 1812; the town’s co\u00ADoperative re\u00ADfrigerated U.S.A. salt (3.14 tons)."
  },
  {
    name: "German",
    title: "Straßenbahn",
    text: "Die Straßenbahn über den Fluß fährt täglich nach Köln, größer als früher."
  },
  {
    name: "French",
    title: "L’été à Besançon",
    text: "L’été, l'œuvre du maître était cachée près d’une forêt : « où êtes-vous\u202F? »"
  },
  { name: "Spanish", title: "El niño", text: "El niño pequeño corrió mañana tras el pingüino azul. ¿Cuándo volverá?" },
  { name: "Polish", title: "Łódź", text: "Zażółć gęślą jaźń nad rzeką Łódką powiedział chłopiec z Łodzi." },
  { name: "Turkish", title: "İstanbul", text: "İstanbul'da ILIK rüzgâr eser, ığdır şehrinde çiçekler açar." },
  {
    name: "Vietnamese",
    title: "Hà Nội",
    text: "Tiếng Việt có nhiều dấu thanh; người ta viết chữ quốc ngữ ở Hà Nội.".normalize("NFD")
  },
  { name: "Greek", title: "Αθήνα", text: "Η Αθήνα είναι η πρωτεύουσα της Ελλάδας· ο ΟΔΥΣΣΕΑΣ ταξίδεψε μακριά." },
  { name: "Russian", title: "Москва", text: "Москва — столица России; объём её музеев ещё растёт." },
  { name: "Ukrainian", title: "Київ", text: "У п’ятницю м'ята пахне, сім\u02BCя їде до Києва." },
  { name: "Hebrew", title: "צה\"ל", text: "צה\"ל הוקם בשנת תש״ח, הרמב״ם כתב על ג'ירפות וצ׳ק בִּירוּשָׁלַיִם." },
  { name: "Arabic", title: "القاهرة", text: "القاهرة عاصمة مصر وأكبر مدنها، وَتَقَعُ على نهر النيل ـ ١٩٩٨." },
  { name: "Persian", title: "نامه", text: "او نامه می\u200Cنویسد و کتاب\u200Cهای زیبایی می\u200Cخواند." },
  { name: "Urdu", title: "لاہور", text: "لاہور پاکستان کا دوسرا بڑا شہر ہے۔" },
  { name: "Hindi", title: "क्षेत्र", text: "यह क्\u200Dषमा है। हिन्दी भाषा में कई संयुक्त अक्षर होते हैं।" },
  { name: "Bengali", title: "ঢাকা", text: "ঢাকা বাংলাদেশের রাজধানী এবং র\u200D্যাব সেখানে আছে।" },
  { name: "Tamil", title: "சென்னை", text: "சென்னை தமிழ்நாட்டின் தலைநகரம் ஆகும்." },
  { name: "Malayalam", title: "കേരളം", text: "അവന്\u200D കേരളത്തില്\u200D ജനിച്ചു." },
  { name: "Sinhala", title: "ශ්\u200Dරී ලංකාව", text: "ශ්\u200Dරී ලංකාව ඉන්දියානු සාගරයේ පිහිටි දිවයිනකි." },
  { name: "Tibetan", title: "བོད", text: "བོད་སྐད་ཡིག་གི་སློབ་གྲྭ།" },
  { name: "Georgian", title: "თბილისი", text: "თბილისი საქართველოს დედაქალაქია." },
  { name: "Amharic", title: "አዲስ አበባ", text: "አዲስ አበባ የኢትዮጵያ ዋና ከተማ ናት።" },
  { name: "Korean", title: "서울", text: "서울은 대한민국의 수도이다. 한강이 도시를 가로지른다.", runs: true },
  { name: "Chinese", title: "北京", text: "北京是中华人民共和国的首都，位于华北平原𠮷。", runs: true },
  {
    name: "Japanese",
    title: "東京",
    text: "東京は日本の首都です。コンピューターゲームとヴァイオリンが人気だ。",
    runs: true
  },
  { name: "Thai", title: "กรุงเทพ", text: "กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย น้ำใสไหลเย็น", runs: true },
  { name: "Lao", title: "ວຽງຈັນ", text: "ວຽງຈັນແມ່ນນະຄອນຫຼວງຂອງປະເທດລາວ", runs: true },
  { name: "Khmer", title: "ភ្នំពេញ", text: "ភ្នំពេញគឺជារាជធានីនៃប្រទេសកម្ពុជា", runs: true },
  { name: "Burmese", title: "ရန်ကုန်", text: "ရန်ကုန်သည်မြန်မာနိုင်ငံ၏အကြီးဆုံးမြို့ဖြစ်သည်", runs: true },
  {
    name: "full-width Latin",
    title: "Ｌｉｓｂｏｎ",
    text: "Ｌｉｓｂｏｎ ｉｎ １９９８ ｗａｓ ｆｕｌｌ ｏｆ ｔｒａｍｓ ﬁne oﬀers ｶﾞｲﾄﾞ"
  },
  {
    name: "combining marks",
    title: "Cafe\u0301",
    text: "The cafe\u0301 o\u0308ffnet fru\u0308h; Z\u0351a\u0352l\u0353g\u0354o\u0355 te\u034Fxt"
  },
  { name: "pictures", title: "👍🏻", text: "👨\u200D👩\u200D👧 ride 🚲 to the ☎️ in 🇩🇪 and press *️⃣ or 1️⃣" }
]

const stopWords = new Set(
  "a an and are as at be but by for if in into is it no not of on or such that the to was will with".split(" ")
)

export const languagePassages: ReadonlyArray<Document> = languages.map(({ name, text, title }) => ({
  id: name,
  title,
  text
}))

const windows = (units: ReadonlyArray<string>, least: number, most: number, between: string): ReadonlyArray<string> =>
  units.flatMap((_, start) =>
    Array.from({ length: most - least + 1 }, (_, more) => least + more)
      .filter((length) => start + length <= units.length)
      .map((length) => units.slice(start, start + length).join(between))
  )

const word = /[\p{L}\p{N}\p{Emoji_Presentation}]/u

/**
 * Phrases copied letter by letter out of a passage: one to four words that follow each other, or two to nine letters and signs where
 * nothing separates words (unless `spaced`: there what stands between spaces and punctuation). Such as an English analyzer
 * leaves out are not among them.
 */
export const phrasesOf = (
  { id, text, title }: Document,
  options?: { readonly spaced?: boolean }
): ReadonlyArray<string> => {
  const runs = languages.some(({ name, runs }) => name === id && runs === true)
  const whole = `${title} ${text}`
  const phrases = runs && options?.spaced !== true
    ? whole.split(/[\s\p{P}]+/u).flatMap((run) => windows([...run], 2, 9, ""))
    : windows(whole.split(/ +/), 1, 4, " ")
  return [...phrases, title, text].filter((phrase) =>
    phrase.normalize("NFKC").toLowerCase().split(/\s+/).some((part) => word.test(part) && !stopWords.has(part))
  )
}
