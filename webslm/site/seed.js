// Seeds as web-llm should get them. Knows nothing else.

/**
 * Mix a seed's bits (the 32-bit finalizer of MurmurHash3; no two seeds meet).
 * web-llm's generator answers a small seed with a first number near zero: seeds 0, 1, 2 ... would all begin an
 * answer with the same end of the distribution.
 * @param {number} seed An integer from 0 to 2^32 - 1.
 * @returns {number} An integer of the same range.
 */
export function spreadSeed(seed) {
  let bits = seed ^ (seed >>> 16);
  bits = Math.imul(bits, 0x85ebca6b);
  bits ^= bits >>> 13;
  bits = Math.imul(bits, 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
