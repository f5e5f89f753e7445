// A browser has no files: the entries of TVM's file_utils.cc that something links against, each
// failing with a sentence. Written for webslm; takes the place of the wheel's file of this name.
#include <src/runtime/file_utils.h>
#include <src/runtime/rpc/rpc_session.h>
#include <tvm/ffi/error.h>

#include <string>

namespace tvm {
namespace runtime {

void SaveBinaryToFile(const std::string& file_name, const std::string&) {
  TVM_FFI_THROW(RuntimeError) << "no files in the browser: cannot write " << file_name;
}

void LoadBinaryFromFile(const std::string& file_name, std::string*) {
  TVM_FFI_THROW(RuntimeError) << "no files in the browser: cannot read " << file_name;
}

ffi::Module CreateRPCSessionModule(std::shared_ptr<RPCSession>) {
  TVM_FFI_THROW(RuntimeError) << "no RPC in the browser";
}

}  // namespace runtime
}  // namespace tvm
