// Owns ranking passages for a question, in the page: TF-IDF or BM25 over words.

const SHORTEST_WORD = 3;
const PASSAGE_WORDS = 120;
const BM25 = { k1: 1.2, b: 0.75 };

export function words(text) {
  return (text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [])
    .filter((word) => word.length >= SHORTEST_WORD);
}

// Splits a text at blank lines into passages of about 120 words: [{ title, text, source }].
export function passages(title, text, source) {
  const parts = [];
  for (const paragraph of text.split(/\n\s*\n/).map((part) => part.trim()).filter(Boolean)) {
    const pieces = paragraph.split(/\s+/);
    for (let at = 0; at < pieces.length; at += PASSAGE_WORDS) {
      const piece = pieces.slice(at, at + PASSAGE_WORDS);
      const last = parts.at(-1);
      if (last && last.length + piece.length <= PASSAGE_WORDS) {
        last.push(...piece);
      } else {
        parts.push(piece);
      }
    }
  }
  return parts.map((part, index) => ({
    title: parts.length > 1 ? `${title}, part ${index + 1}` : title, text: part.join(" "), source,
  }));
}

// Returns a function of (question, method, count, minimum): passages with scores, best first.
export function index(all) {
  const counted = all.map((passage) => count(words(`${passage.title} ${passage.text}`)));
  const found = new Map();
  for (const { counts } of counted) {
    for (const word of counts.keys()) {
      found.set(word, (found.get(word) ?? 0) + 1);
    }
  }
  const rankers = { tfidf: tfidf(counted, found), bm25: bm25(counted, found) };
  return (question, method, limit, minimum) => rankers[method](count(words(question)).counts)
    .map((score, at) => ({ ...all[at], score }))
    .filter(({ score }) => score > minimum)
    .sort((left, right) => right.score - left.score)
    .slice(0, limit);
}

function count(list) {
  const counts = new Map();
  for (const word of list) {
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return { counts, length: list.length };
}

// idf = ln((N + 1) / (df + 1)) + 1; term frequency over the passage's length; cosine with the
// question's raw counts.
function tfidf(counted, found) {
  const weight = (word) => Math.log((counted.length + 1) / ((found.get(word) ?? 0) + 1)) + 1;
  const vectors = counted.map(({ counts, length }) => new Map(
    [...counts].map(([word, times]) => [word, (times / length) * weight(word)])));
  const norms = vectors.map(norm);
  return (asked) => {
    const question = new Map([...asked].map(([word, times]) => [word, times * weight(word)]));
    const size = norm(question);
    return vectors.map((vector, at) => {
      let dot = 0;
      for (const [word, value] of question) {
        dot += value * (vector.get(word) ?? 0);
      }
      return dot === 0 ? 0 : dot / (size * norms[at]);
    });
  };
}

function norm(vector) {
  return Math.sqrt([...vector.values()].reduce((sum, value) => sum + value * value, 0));
}

// Robertson and Zaragoza (2009), with the idf that is never negative.
function bm25(counted, found) {
  const mean = counted.reduce((sum, { length }) => sum + length, 0) / Math.max(1, counted.length);
  return (asked) => counted.map(({ counts, length }) => {
    let score = 0;
    for (const word of asked.keys()) {
      const times = counts.get(word) ?? 0;
      const holders = found.get(word) ?? 0;
      const idf = Math.log(1 + (counted.length - holders + 0.5) / (holders + 0.5));
      const room = BM25.k1 * (1 - BM25.b + (BM25.b * length) / mean);
      score += (idf * times * (BM25.k1 + 1)) / (times + room);
    }
    return score;
  });
}
