import java.io.IOException;
import java.io.StringReader;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.lucene.analysis.standard.StandardTokenizer;
import org.apache.lucene.analysis.tokenattributes.CharTermAttribute;

/** Asks StandardTokenizer which class of its grammar every code point belongs to, and prints the ranges of each class. */
public class Characters {
  static final StandardTokenizer tokenizer = new StandardTokenizer();
  static final CharTermAttribute term = tokenizer.addAttribute(CharTermAttribute.class);

  static List<String> tokens(String text) throws IOException {
    tokenizer.setReader(new StringReader(text));
    tokenizer.reset();
    List<String> found = new ArrayList<>();
    while (tokenizer.incrementToken()) found.add(term.toString());
    tokenizer.end();
    tokenizer.close();
    return found;
  }

  /** Whether the whole text is one token. */
  static boolean whole(String text) throws IOException {
    List<String> found = tokens(text);
    return found.size() == 1 && found.get(0).equals(text);
  }

  static List<String> classes(String s) throws IOException {
    List<String> found = new ArrayList<>();
    boolean alone = whole(s);
    boolean behindLetter = whole("a" + s);
    if (alone) {
      // what extends the character before it stands in words too, but begins none
      if (whole(s + "a") && whole("a" + s + "1")) {
        found.add(whole("1," + s) ? "digit" : "letter");
        if (whole(s + "\"" + s)) found.add("hebrew");
      } else if (!behindLetter && whole("\u30a2" + s)) {
        found.add("katakana");
      }
      boolean pictograph = whole(s + "\u200d\ud83d\ude00");
      if (pictograph) found.add("pictograph");
      else if (whole("\u0e01" + s)) found.add("complex");
      if (found.isEmpty() && !behindLetter) found.add("ideograph");
    } else {
      boolean beforeLetter = whole(s + "a");
      if (behindLetter && beforeLetter) found.add("joiner");
      if (!behindLetter && whole("a" + s + "a")) found.add("midLetter");
      if (!whole("1" + s) && whole("1" + s + "1")) found.add("midNumber");
      if (!behindLetter && whole("\u05d0" + s)) found.add("singleQuote");
      if (!whole("a" + s + "a") && whole("\u05d0" + s + "\u05d0")) found.add("doubleQuote");
      if (whole(s + "\u20e3")) found.add("keycap");
      if (whole(s + s)) found.add("regional");
    }
    if (behindLetter && !whole(s + "a")) found.add("extend");
    return found;
  }

  public static void main(String[] arguments) throws IOException {
    Map<String, List<int[]>> ranges = new TreeMap<>();
    for (int point = 0; point <= Character.MAX_CODE_POINT; point++) {
      if (point >= 0xd800 && point < 0xe000) continue;
      for (String name : classes(new String(Character.toChars(point)))) {
        List<int[]> list = ranges.computeIfAbsent(name, key -> new ArrayList<>());
        int[] last = list.isEmpty() ? null : list.get(list.size() - 1);
        if (last != null && last[1] == point - 1) last[1] = point;
        else list.add(new int[] {point, point});
      }
    }
    for (Map.Entry<String, List<int[]>> entry : ranges.entrySet()) {
      StringBuilder line = new StringBuilder(entry.getKey());
      for (int[] range : entry.getValue()) line.append(' ').append(range[0]).append('-').append(range[1]);
      System.out.println(line);
    }
  }
}
