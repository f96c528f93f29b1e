import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.ArrayList;
import java.util.Map;
import org.apache.lucene.analysis.Analyzer;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.en.EnglishAnalyzer;
import org.apache.lucene.analysis.tokenattributes.CharTermAttribute;
import org.apache.lucene.document.Document;
import org.apache.lucene.document.Field;
import org.apache.lucene.document.TextField;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.IndexWriterConfig;
import org.apache.lucene.index.NoMergePolicy;
import org.apache.lucene.index.Term;
import org.apache.lucene.search.BooleanClause;
import org.apache.lucene.search.BooleanQuery;
import org.apache.lucene.search.BoostQuery;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.Query;
import org.apache.lucene.search.ScoreDoc;
import org.apache.lucene.search.TermQuery;
import org.apache.lucene.search.similarities.BM25Similarity;
import org.apache.lucene.store.ByteBuffersDirectory;

/**
 * Reads lines and answers each that asks: {@code A text} for the terms of a text, {@code P text} adds a passage, {@code Q n
 * text} searches the passages since the last search for the n best, {@code N} forgets them. Texts are UTF-16 units in
 * hexadecimal. Queries are bags of words as Pyserini makes them: each term once, with its count for a boost.
 */
public class Goldens {
  static final Analyzer analyzer = new EnglishAnalyzer();

  static String text(String hex) {
    StringBuilder text = new StringBuilder();
    for (int at = 0; at + 4 <= hex.length(); at += 4) text.append((char) Integer.parseInt(hex.substring(at, at + 4), 16));
    return text.toString();
  }

  static String hex(String text) {
    StringBuilder hex = new StringBuilder();
    for (int at = 0; at < text.length(); at++) hex.append(String.format("%04x", (int) text.charAt(at)));
    return hex.toString();
  }

  static List<String> terms(String text) throws IOException {
    List<String> found = new ArrayList<>();
    try (TokenStream stream = analyzer.tokenStream("contents", text)) {
      CharTermAttribute term = stream.addAttribute(CharTermAttribute.class);
      stream.reset();
      while (stream.incrementToken()) found.add(term.toString());
      stream.end();
    }
    return found;
  }

  static Query query(String text) throws IOException {
    Map<String, Integer> counts = new LinkedHashMap<>();
    for (String term : terms(text)) counts.merge(term, 1, Integer::sum);
    BooleanQuery.Builder builder = new BooleanQuery.Builder();
    for (Map.Entry<String, Integer> entry : counts.entrySet()) {
      Query term = new TermQuery(new Term("contents", entry.getKey()));
      builder.add(new BoostQuery(term, entry.getValue()), BooleanClause.Occur.SHOULD);
    }
    return builder.build();
  }

  public static void main(String[] arguments) throws IOException {
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
    List<String> passages = new ArrayList<>();
    IndexSearcher searcher = null;
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      String[] words = line.split(" ", -1);
      switch (words[0]) {
        case "A": {
          StringBuilder answer = new StringBuilder("A");
          for (String term : terms(text(words[1]))) answer.append(' ').append(hex(term));
          System.out.println(answer);
          break;
        }
        case "N":
          passages.clear();
          searcher = null;
          break;
        case "P":
          passages.add(text(words[1]));
          break;
        default: {
          if (searcher == null) searcher = index(passages);
          StringBuilder answer = new StringBuilder("Q");
          for (ScoreDoc hit : searcher.search(query(text(words[2])), Integer.parseInt(words[1])).scoreDocs) {
            answer.append(' ').append(hit.doc).append(':').append(hit.score);
          }
          System.out.println(answer);
        }
      }
    }
  }

  /** One segment, so that documents are numbered in their order. */
  static IndexSearcher index(List<String> passages) throws IOException {
    ByteBuffersDirectory directory = new ByteBuffersDirectory();
    BM25Similarity similarity = new BM25Similarity(0.9f, 0.4f);
    IndexWriterConfig config = new IndexWriterConfig(analyzer)
      .setSimilarity(similarity)
      .setMergePolicy(NoMergePolicy.INSTANCE)
      .setRAMBufferSizeMB(1024);
    try (IndexWriter writer = new IndexWriter(directory, config)) {
      for (String passage : passages) {
        Document document = new Document();
        document.add(new TextField("contents", passage, Field.Store.NO));
        writer.addDocument(document);
      }
    }
    DirectoryReader reader = DirectoryReader.open(directory);
    if (reader.leaves().size() > 1) throw new IllegalStateException("more than one segment");
    IndexSearcher searcher = new IndexSearcher(reader);
    searcher.setSimilarity(similarity);
    return searcher;
  }
}
