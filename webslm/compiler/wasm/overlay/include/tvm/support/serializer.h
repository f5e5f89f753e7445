// How a C++ value becomes bytes: the format the native compiler writes into a model library.
// Plain values are their little-endian bytes; every sequence is a 64-bit count and its elements, so
// that a 64-bit compiler and a 32-bit browser agree. Written for webslm (see io.h).
#ifndef WEBSLM_OVERLAY_TVM_SUPPORT_SERIALIZER_H_
#define WEBSLM_OVERLAY_TVM_SUPPORT_SERIALIZER_H_

#include <tvm/ffi/container/array.h>
#include <tvm/ffi/container/map.h>
#include <tvm/ffi/dtype.h>
#include <tvm/ffi/string.h>
#include <tvm/support/io.h>

#include <cstdint>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tvm {
namespace support {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "plain values are copied as they lie");

// Plain values: numbers, enumerations, DLDataType, DLDevice.
template <typename T>
struct Serializer {
  static_assert(std::is_trivially_copyable<T>::value && !std::is_pointer<T>::value,
                "this type needs a Serializer of its own");
  static constexpr bool enabled = true;

  static void Write(Stream* stream, const T& value) {
    stream->Write(static_cast<const void*>(&value), sizeof(T));
  }
  static bool Read(Stream* stream, T* value) {
    return stream->Read(static_cast<void*>(value), sizeof(T)) == sizeof(T);
  }
};

namespace detail {

inline void WriteCount(Stream* stream, size_t count) {
  stream->Write(static_cast<uint64_t>(count));
}

inline bool ReadCount(Stream* stream, size_t* count) {
  uint64_t wide = 0;
  if (!stream->Read(&wide) || wide > SIZE_MAX) return false;
  *count = static_cast<size_t>(wide);
  return true;
}

inline void WriteText(Stream* stream, const char* data, size_t size) {
  WriteCount(stream, size);
  stream->Write(static_cast<const void*>(data), size);
}

// Sequences whose elements are appended one by one.
template <typename Sequence, typename Element>
struct SequenceSerializer {
  static constexpr bool enabled = true;

  static void Write(Stream* stream, const Sequence& values) {
    WriteCount(stream, values.size());
    for (const Element& value : values) Serializer<Element>::Write(stream, value);
  }
  static bool Read(Stream* stream, Sequence* values) {
    size_t count = 0;
    if (!ReadCount(stream, &count)) return false;
    Sequence result;
    for (size_t i = 0; i < count; ++i) {
      Element value{};
      if (!Serializer<Element>::Read(stream, &value)) return false;
      result.push_back(std::move(value));
    }
    *values = std::move(result);
    return true;
  }
};

}  // namespace detail

template <>
struct Serializer<std::string> {
  static constexpr bool enabled = true;

  static void Write(Stream* stream, const std::string& text) {
    detail::WriteText(stream, text.data(), text.size());
  }
  static bool Read(Stream* stream, std::string* text) {
    size_t size = 0;
    if (!detail::ReadCount(stream, &size)) return false;
    text->resize(size);
    return stream->Read(static_cast<void*>(text->data()), size) == size;
  }
};

template <>
struct Serializer<ffi::String> {
  static constexpr bool enabled = true;

  static void Write(Stream* stream, const ffi::String& text) {
    detail::WriteText(stream, text.data(), text.size());
  }
  static bool Read(Stream* stream, ffi::String* text) {
    std::string buffer;
    if (!Serializer<std::string>::Read(stream, &buffer)) return false;
    *text = ffi::String(std::move(buffer));
    return true;
  }
};

template <typename T>
struct Serializer<std::vector<T>> : detail::SequenceSerializer<std::vector<T>, T> {};

template <typename T>
struct Serializer<ffi::Array<T>> {
  static constexpr bool enabled = true;

  static void Write(Stream* stream, const ffi::Array<T>& values) {
    detail::WriteCount(stream, values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      Serializer<T>::Write(stream, values[static_cast<int64_t>(i)]);
    }
  }
  static bool Read(Stream* stream, ffi::Array<T>* values) {
    std::vector<T> buffer;
    if (!Serializer<std::vector<T>>::Read(stream, &buffer)) return false;
    *values = ffi::Array<T>(buffer.begin(), buffer.end());
    return true;
  }
};

template <typename K, typename V>
struct Serializer<std::pair<K, V>> {
  static constexpr bool enabled = true;

  static void Write(Stream* stream, const std::pair<K, V>& pair) {
    Serializer<K>::Write(stream, pair.first);
    Serializer<V>::Write(stream, pair.second);
  }
  static bool Read(Stream* stream, std::pair<K, V>* pair) {
    return Serializer<K>::Read(stream, &pair->first) && Serializer<V>::Read(stream, &pair->second);
  }
};

template <typename K, typename V>
struct Serializer<std::unordered_map<K, V>> {
  static constexpr bool enabled = true;

  static void Write(Stream* stream, const std::unordered_map<K, V>& map) {
    detail::WriteCount(stream, map.size());
    for (const auto& [key, value] : map) {
      Serializer<K>::Write(stream, key);
      Serializer<V>::Write(stream, value);
    }
  }
  static bool Read(Stream* stream, std::unordered_map<K, V>* map) {
    size_t count = 0;
    if (!detail::ReadCount(stream, &count)) return false;
    map->clear();
    for (size_t i = 0; i < count; ++i) {
      std::pair<K, V> item;
      if (!Serializer<std::pair<K, V>>::Read(stream, &item)) return false;
      map->insert(std::move(item));
    }
    return true;
  }
};

template <typename K, typename V>
struct Serializer<ffi::Map<K, V>> {
  static constexpr bool enabled = true;

  static void Write(Stream* stream, const ffi::Map<K, V>& map) {
    detail::WriteCount(stream, map.size());
    for (const auto& item : map) {
      Serializer<K>::Write(stream, item.first);
      Serializer<V>::Write(stream, item.second);
    }
  }
  static bool Read(Stream* stream, ffi::Map<K, V>* map) {
    size_t count = 0;
    if (!detail::ReadCount(stream, &count)) return false;
    ffi::Map<K, V> result;
    for (size_t i = 0; i < count; ++i) {
      // Object handles such as FunctionInfo have no default value other than null.
      K key{};
      V value{ffi::UnsafeInit{}};
      if (!Serializer<K>::Read(stream, &key) || !Serializer<V>::Read(stream, &value)) return false;
      result.Set(key, value);
    }
    *map = std::move(result);
    return true;
  }
};

}  // namespace support
}  // namespace tvm

#endif  // WEBSLM_OVERLAY_TVM_SUPPORT_SERIALIZER_H_
