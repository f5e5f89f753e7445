// Widening of a 16-bit float, by the name and template arguments its one caller (sort) uses.
// Written for webslm: the wheel does not ship compiler-rt.
#ifndef WEBSLM_OVERLAY_BUILTIN_FP16_H_
#define WEBSLM_OVERLAY_BUILTIN_FP16_H_

#include <cstdint>
#include <cstring>
#include <type_traits>

template <typename Source, typename SourceBits, int source_fraction, typename Target,
          typename TargetBits, int target_fraction>
inline Target __extendXfYf2__(Source source) {
  static_assert(sizeof(SourceBits) == 2 && source_fraction == 10 && target_fraction == 23 &&
                    std::is_same<Target, float>::value,
                "only half to single is needed");
  const uint32_t half = static_cast<uint16_t>(source);
  const uint32_t sign = (half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1fu;
  const uint32_t fraction = half & 0x3ffu;
  if (exponent == 0) {
    // Zero and subnormals: the fraction counts units of 2^-24, which a single holds exactly.
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  // Infinities and NaNs keep an all-ones exponent; the rest moves from bias 15 to bias 127.
  const uint32_t wide = exponent == 0x1f ? 0xffu : exponent + 112;
  const uint32_t bits = sign | (wide << 23) | (fraction << 13);
  float result;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}

#endif  // WEBSLM_OVERLAY_BUILTIN_FP16_H_
