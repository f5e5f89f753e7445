// Profiler ranges exist only for CUDA; in the browser they are nothing. Written for webslm.
#ifndef WEBSLM_OVERLAY_TVM_SUPPORT_CUDA_NVTX_H_
#define WEBSLM_OVERLAY_TVM_SUPPORT_CUDA_NVTX_H_

#include <string>

namespace tvm {
namespace support {

class NVTXScopedRange {
 public:
  explicit NVTXScopedRange(const char*) {}
  explicit NVTXScopedRange(const std::string&) {}
};

}  // namespace support
}  // namespace tvm

#endif  // WEBSLM_OVERLAY_TVM_SUPPORT_CUDA_NVTX_H_
