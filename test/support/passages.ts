/**
 * A small fictional corpus that every retriever can be tried on.
 */
import type { Document } from "../../src/domain/Document.ts"

const passage = (id: string, title: string, text: string): Document => ({ id, title: `"${title}"`, text })

export const passages: ReadonlyArray<Document> = [
  passage(
    "p0",
    "Orla Venn",
    "Orla Venn is a cartographer born in the harbour town of Maren. She mapped the Glass Isles."
  ),
  passage(
    "p1",
    "Maren",
    "Maren is a harbour town on the northern coast, known for its lighthouse and its herring market."
  ),
  passage("p2", "Glass Isles", "The Glass Isles are an archipelago of eleven islands. The largest island is Tolm."),
  passage("p3", "Tolm", "Tolm is an island whose lighthouse was built in 1811 by the engineer Bram Oduya."),
  passage(
    "p4",
    "Bram Oduya",
    "Bram Oduya was an engineer who built bridges, canals and one lighthouse.\nHe died in Maren."
  ),
  passage("p5", "Café Élan", "Café Élan (Кафе Элан) is a café in Maren where 北海 tea is served with jökulhlaup cake."),
  passage(
    "p6",
    "Herring market",
    "The herring market of Maren opens at dawn; herring, herring and more herring are sold there."
  ),
  passage("p7", "Twin of Tolm", "Tolm is an island whose lighthouse was built in 1811 by the engineer Bram Oduya."),
  passage("p8", "Empty", ""),
  passage(
    "p9",
    "C++ & <search>",
    "A manual of C++ with <search> and </information> tags, \"quotes\", back\\slashes and \u2028 separators."
  )
]

/** Queries with hits; no hit among `passages` for `unknown`. */
export const queries: ReadonlyArray<string> = [
  "Who built the lighthouse of Tolm?",
  "herring",
  "Where was Orla Venn born?",
  "engineer bridges canals",
  "Glass Isles largest island"
]

export const unknown = "zyxxyqwv"
