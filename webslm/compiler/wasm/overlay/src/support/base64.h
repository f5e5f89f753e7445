// Base64 streams, used for tensors inside JSON. Both buffer the whole text and leave the coding to
// tvm-ffi, which ships it. Written for webslm (see tvm/support/io.h).
#ifndef WEBSLM_OVERLAY_SRC_SUPPORT_BASE64_H_
#define WEBSLM_OVERLAY_SRC_SUPPORT_BASE64_H_

#include <tvm/ffi/extra/base64.h>
#include <tvm/support/io.h>

#include <algorithm>
#include <cstring>
#include <string>

namespace tvm {
namespace support {

class Base64OutStream : public Stream {
 public:
  explicit Base64OutStream(Stream* target) : target_(target) {}

  using Stream::Read;
  using Stream::Write;

  size_t Read(void*, size_t) override { return 0; }
  size_t Write(const void* data, size_t num_bytes) override {
    plain_.append(static_cast<const char*>(data), num_bytes);
    return num_bytes;
  }

  // Nothing reaches the target before this.
  void Finish() {
    ffi::String coded = ffi::Base64Encode(TVMFFIByteArray{plain_.data(), plain_.size()});
    target_->Write(static_cast<const void*>(coded.data()), coded.size());
    plain_.clear();
  }

 private:
  Stream* target_;
  std::string plain_;
};

class Base64InStream : public Stream {
 public:
  explicit Base64InStream(Stream* source) : source_(source) {}

  using Stream::Read;
  using Stream::Write;

  // Takes the whole text from the source; call it once, before the first read.
  void InitPosition() {
    std::string coded;
    char chunk[4096];
    while (size_t moved = source_->Read(static_cast<void*>(chunk), sizeof(chunk))) {
      coded.append(chunk, moved);
    }
    plain_ = ffi::Base64Decode(TVMFFIByteArray{coded.data(), coded.size()});
    position_ = 0;
  }

  size_t Read(void* data, size_t num_bytes) override {
    size_t moved = std::min(num_bytes, plain_.size() - position_);
    if (moved != 0) std::memcpy(data, plain_.data() + position_, moved);
    position_ += moved;
    return moved;
  }
  size_t Write(const void*, size_t) override { return 0; }

 private:
  Stream* source_;
  ffi::Bytes plain_;
  size_t position_ = 0;
};

}  // namespace support
}  // namespace tvm

#endif  // WEBSLM_OVERLAY_SRC_SUPPORT_BASE64_H_
