// Owns ranking passages for a question, in the page: TF-IDF or BM25 over words.

const SHORTEST_WORD = 3;
const PASSAGE_WORDS = 120;
const BM25 = { k1: 1.2, b: 0.75 };

/**
 * A piece of a document.
 * @typedef {{ title: string, text: string, source: string }} Passage
 * @typedef {Passage & { score: number }} Ranked
 * @typedef {{ counts: Map<string, number>, length: number }} Counted
 * @typedef {(asked: Map<string, number>) => number[]} Ranker A score for each passage.
 * @typedef {"tfidf" | "bm25"} Method
 */

/** @param {string} text */
export function words(text) {
  return (text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [])
    .filter((word) => word.length >= SHORTEST_WORD);
}

/**
 * Splits a text at blank lines into passages of about 120 words.
 * @param {string} title
 * @param {string} text
 * @param {string} source
 * @returns {Passage[]}
 */
export function passages(title, text, source) {
  /** @type {string[][]} */
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

/**
 * Returns a function that ranks passages for a question, best first.
 * @param {Passage[]} all
 * @returns {(question: string, method: Method, limit: number, minimum: number) => Ranked[]}
 */
export function index(all) {
  const counted = all.map((passage) => count(words(`${passage.title} ${passage.text}`)));
  /** @type {Map<string, number>} How many passages hold a word. */
  const holders = new Map();
  for (const { counts } of counted) {
    for (const word of counts.keys()) {
      holders.set(word, (holders.get(word) ?? 0) + 1);
    }
  }
  const rankers = { tfidf: tfidf(counted, holders), bm25: bm25(counted, holders) };
  return (question, method, limit, minimum) => rankers[method](count(words(question)).counts)
    .map((score, at) => ({ ...all[at], score }))
    .filter(({ score }) => score > minimum)
    .sort((left, right) => right.score - left.score)
    .slice(0, limit);
}

/**
 * @param {string[]} list
 * @returns {Counted}
 */
function count(list) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const word of list) {
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return { counts, length: list.length };
}

// idf = ln((N + 1) / (df + 1)) + 1; term frequency over the passage's length; cosine with the
// question's raw counts.
/**
 * @param {Counted[]} counted
 * @param {Map<string, number>} holders
 * @returns {Ranker}
 */
function tfidf(counted, holders) {
  /** @param {string} word */
  const weight = (word) => Math.log((counted.length + 1) / ((holders.get(word) ?? 0) + 1)) + 1;
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

/** @param {Map<string, number>} vector */
function norm(vector) {
  return Math.sqrt([...vector.values()].reduce((sum, value) => sum + value * value, 0));
}

// Robertson and Zaragoza (2009), with the idf that is never negative.
/**
 * @param {Counted[]} counted
 * @param {Map<string, number>} holders
 * @returns {Ranker}
 */
function bm25(counted, holders) {
  const mean = counted.reduce((sum, { length }) => sum + length, 0) / Math.max(1, counted.length);
  return (asked) => counted.map(({ counts, length }) => {
    let score = 0;
    for (const word of asked.keys()) {
      const times = counts.get(word) ?? 0;
      const having = holders.get(word) ?? 0;
      const idf = Math.log(1 + (counted.length - having + 0.5) / (having + 0.5));
      const room = BM25.k1 * (1 - BM25.b + (BM25.b * length) / mean);
      score += (idf * times * (BM25.k1 + 1)) / (times + room);
    }
    return score;
  });
}
