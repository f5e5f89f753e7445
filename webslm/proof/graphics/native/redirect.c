/* Preloaded into the browser: opens another library where Dawn asks for SwiftShader.
 *
 * Dawn opens libvk_swiftshader.so by itself. So does Chromium's Vulkan loader, for the page's own
 * drawing: that one still gets the original, which it knows how to use. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static int is_vulkan_loader(const void *caller) {
  Dl_info object;
  return dladdr(caller, &object) && object.dli_fname &&
         strncmp(base_name(object.dli_fname), "libvulkan", 9) == 0;
}

__attribute__((visibility("default"))) void *dlopen(const char *name, int mode) {
  void *(*open)(const char *, int) = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
  if (name && strcmp(base_name(name), "libvk_swiftshader.so") == 0 &&
      !is_vulkan_loader(__builtin_return_address(0))) {
    const char *stand_in = getenv("WEBSLM_STAND_IN");
    if (stand_in) return open(stand_in, mode);
  }
  /* A tail call: the search path of a bare name depends on who called. */
  __attribute__((musttail)) return open(name, mode);
}
