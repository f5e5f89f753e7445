// The byte stream that TVM's runtime reads its own files through. Written for webslm: the apache-tvm
// wheel includes this header but does not ship it. The interface is the one its users call; how a
// type becomes bytes is in serializer.h.
#ifndef WEBSLM_OVERLAY_TVM_SUPPORT_IO_H_
#define WEBSLM_OVERLAY_TVM_SUPPORT_IO_H_

#include <cstddef>

namespace tvm {
namespace support {

template <typename T>
struct Serializer;

class Stream {
 public:
  virtual ~Stream() = default;

  // Both return how many bytes were really moved.
  virtual size_t Read(void* data, size_t num_bytes) = 0;
  virtual size_t Write(const void* data, size_t num_bytes) = 0;

  template <typename T>
  void Write(const T& value) {
    Serializer<T>::Write(this, value);
  }

  // False when the stream ended before the value did.
  template <typename T>
  bool Read(T* value) {
    return Serializer<T>::Read(this, value);
  }

  template <typename T>
  void WriteArray(const T* values, size_t count) {
    for (size_t i = 0; i < count; ++i) Serializer<T>::Write(this, values[i]);
  }

  template <typename T>
  bool ReadArray(T* values, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      if (!Serializer<T>::Read(this, &values[i])) return false;
    }
    return true;
  }
};

}  // namespace support
}  // namespace tvm

#include <tvm/support/serializer.h>

#endif  // WEBSLM_OVERLAY_TVM_SUPPORT_IO_H_
