/* A Vulkan driver of four calls, told by $DRIVER_INDEXING whether it announces dynamic indexing.
 *
 * It makes a device only when nothing is asked for that it has not, as a real one. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
enum { NUM_FEATURES = 55, FIRST_INDEXING = 33, LAST_INDEXING = 36, NOT_PRESENT = -8 };
typedef void (*Function)(void);
typedef struct Chained { uint32_t type; struct Chained *next; uint32_t on[NUM_FEATURES]; } Chained;
typedef struct {
  uint32_t type;
  Chained *next;
  uint32_t words[2];
  const void *queues;
  uint64_t layers[2], extensions[2];
  const uint32_t *features;
} DeviceInfo;

static void features(void *device, uint32_t *on) {
  (void)device;
  memset(on, 0, NUM_FEATURES * sizeof *on);
  on[0] = 1;
  const char *indexing = getenv("DRIVER_INDEXING");
  for (int i = FIRST_INDEXING; i <= LAST_INDEXING; i++) on[i] = indexing != 0;
}

static void features_2(void *device, Chained *out) { features(device, out->on); }

static void properties(void *device, uint32_t *head) {
  (void)device;
  for (uint32_t i = 0; i < 4; i++) head[i] = i + 1;
}

static void properties_2(void *device, Chained *out) { properties(device, out->on); }

static int32_t has_all(const uint32_t *asked) {
  uint32_t real[NUM_FEATURES];
  features(0, real);
  for (int i = 0; i < NUM_FEATURES; i++)
    if (asked[i] && !real[i]) return NOT_PRESENT;
  return 0;
}

static int32_t create_device(void *gpu, const DeviceInfo *info, const void *memory, void *out) {
  (void)gpu, (void)memory, (void)out;
  int32_t result = info->features ? has_all(info->features) : 0;
  for (Chained *link = info->next; link && !result; link = link->next)
    if (link->type == 1000059000) result = has_all(link->on);
  return result;
}

static int32_t create_instance(const void *info, const void *memory, void **out) {
  (void)info, (void)memory;
  if (getenv("DRIVER_ABORTS")) abort();
  *out = out;
  return 0;
}

EXPORT Function vk_icdGetInstanceProcAddr(void *instance, const char *name) {
  (void)instance;
  static const struct { const char *name; Function function; } ALL[] = {
      {"vkCreateInstance", (Function)create_instance},
      {"vkCreateDevice", (Function)create_device},
      {"vkGetPhysicalDeviceFeatures", (Function)features},
      {"vkGetPhysicalDeviceFeatures2", (Function)features_2},
      {"vkGetPhysicalDeviceProperties", (Function)properties},
      {"vkGetPhysicalDeviceProperties2", (Function)properties_2},
  };
  for (size_t i = 0; i < sizeof ALL / sizeof *ALL; i++)
    if (strcmp(name, ALL[i].name) == 0) return ALL[i].function;
  return 0;
}
