// Streams over bytes that lie in memory. Written for webslm (see tvm/support/io.h).
#ifndef WEBSLM_OVERLAY_SRC_SUPPORT_BYTES_IO_H_
#define WEBSLM_OVERLAY_SRC_SUPPORT_BYTES_IO_H_

#include <tvm/ffi/string.h>
#include <tvm/support/io.h>

#include <algorithm>
#include <cstring>
#include <string>

namespace tvm {
namespace support {

// Reads bytes it does not own: they must outlive the stream.
class BytesInStream : public Stream {
 public:
  BytesInStream(const char* data, size_t size) : data_(data), left_(size) {}
  explicit BytesInStream(const std::string& bytes) : BytesInStream(bytes.data(), bytes.size()) {}
  explicit BytesInStream(const ffi::Bytes& bytes) : BytesInStream(bytes.data(), bytes.size()) {}

  using Stream::Read;
  using Stream::Write;

  size_t Read(void* data, size_t num_bytes) override {
    size_t moved = std::min(num_bytes, left_);
    if (moved != 0) std::memcpy(data, data_, moved);
    data_ += moved;
    left_ -= moved;
    return moved;
  }
  size_t Write(const void*, size_t) override { return 0; }

 private:
  const char* data_;
  size_t left_;
};

// Appends to a string it does not own.
class BytesOutStream : public Stream {
 public:
  explicit BytesOutStream(std::string* bytes) : bytes_(bytes) {}

  using Stream::Read;
  using Stream::Write;

  size_t Read(void*, size_t) override { return 0; }
  size_t Write(const void* data, size_t num_bytes) override {
    bytes_->append(static_cast<const char*>(data), num_bytes);
    return num_bytes;
  }

 private:
  std::string* bytes_;
};

}  // namespace support
}  // namespace tvm

#endif  // WEBSLM_OVERLAY_SRC_SUPPORT_BYTES_IO_H_
