/* A Vulkan driver that is Mesa's lavapipe, and says what Dawn wants to hear of SwiftShader.
 *
 * Dawn takes the software adapter only by SwiftShader's ids, and only with dynamic indexing of
 * descriptor arrays, which Mesa announces since 23.2. Everything else is lavapipe's own word, the
 * names of device and driver too: by them the proof knows what computed it. The announced features
 * are taken out again when a device is made; no shader of ours indexes descriptor arrays. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef int32_t Result;
typedef void (*Function)(void);
typedef void *Instance, *PhysicalDevice;

enum { SUCCESS = 0, SWIFTSHADER_VENDOR = 0x1AE0, SWIFTSHADER_DEVICE = 0xC0DE };
enum { FEATURES_2 = 1000059000, NUM_FEATURES = 55, FIRST_INDEXING = 33, LAST_INDEXING = 36 };
enum { INTERFACE_VERSION = 5 };

/* VkPhysicalDeviceFeatures is 55 booleans in a row; the four that are announced are 33 to 36. */
typedef struct { uint32_t on[NUM_FEATURES]; } Features;
typedef struct { uint32_t api, driver, vendor, device; } PropertiesHead;
typedef struct Chained { uint32_t type; struct Chained *next; } Chained;
typedef struct { Chained head; Features features; } Features2;
typedef struct { Chained head; PropertiesHead properties; } Properties2;
typedef struct {
  uint32_t type;
  Chained *next;
  uint32_t flags, num_queues;
  const void *queues;
  uint32_t num_layers;
  const char *const *layers;
  uint32_t num_extensions;
  const char *const *extensions;
  const Features *features;
} DeviceInfo;

typedef Function (*GetAddress)(Instance, const char *);
typedef Result (*Negotiate)(uint32_t *);

static GetAddress lavapipe;
static Result (*create_instance)(const void *, const void *, Instance *);
static Result (*create_device)(PhysicalDevice, const DeviceInfo *, const void *, void *);
static void (*get_features)(PhysicalDevice, Features *);
static void (*get_features_2)(PhysicalDevice, Features2 *);
static void (*get_properties)(PhysicalDevice, PropertiesHead *);
static void (*get_properties_2)(PhysicalDevice, Properties2 *);

__attribute__((constructor)) static void load(void) {
  const char *path = getenv("WEBSLM_LAVAPIPE");
  void *library = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
  if (!library) {
    const char *why = path ? dlerror() : "WEBSLM_LAVAPIPE is not set";
    fprintf(stderr, "webslm: lavapipe does not load: %s\n", why ? why : path);
    return;
  }
  lavapipe = (GetAddress)dlsym(library, "vk_icdGetInstanceProcAddr");
  Negotiate negotiate = (Negotiate)dlsym(library, "vk_icdNegotiateLoaderICDInterfaceVersion");
  uint32_t version = INTERFACE_VERSION;
  if (negotiate) negotiate(&version);
}

static void announce(Features *features) {
  for (int i = FIRST_INDEXING; i <= LAST_INDEXING; i++) features->on[i] = 1;
}

static void withdraw(Features *wanted, const Features *real) {
  for (int i = FIRST_INDEXING; i <= LAST_INDEXING; i++) wanted->on[i] &= real->on[i];
}

static void pose(PropertiesHead *properties) {
  properties->vendor = SWIFTSHADER_VENDOR;
  properties->device = SWIFTSHADER_DEVICE;
}

static void features(PhysicalDevice device, Features *out) {
  get_features(device, out);
  announce(out);
}

static void features_2(PhysicalDevice device, Features2 *out) {
  get_features_2(device, out);
  announce(&out->features);
}

static void properties(PhysicalDevice device, PropertiesHead *out) {
  get_properties(device, out);
  pose(out);
}

static void properties_2(PhysicalDevice device, Properties2 *out) {
  get_properties_2(device, out);
  pose(&out->properties);
}

static Result device(PhysicalDevice physical, const DeviceInfo *info, const void *memory,
                     void *out) {
  Features real, kept, plain;
  get_features(physical, &real);
  DeviceInfo asked = *info;
  if (asked.features) {
    plain = *asked.features;
    withdraw(&plain, &real);
    asked.features = &plain;
  }
  /* A link in the middle of the caller's chain cannot be exchanged: it is changed and put back. */
  Chained *link = asked.next;
  while (link && link->type != FEATURES_2) link = link->next;
  if (link) {
    kept = ((Features2 *)link)->features;
    withdraw(&((Features2 *)link)->features, &real);
  }
  Result result = create_device(physical, &asked, memory, out);
  if (link) ((Features2 *)link)->features = kept;
  return result;
}

static Result instance(const void *info, const void *memory, Instance *out) {
  Result result = create_instance(info, memory, out);
  if (result != SUCCESS) return result;
#define TAKE(variable, name) variable = (void *)lavapipe(*out, name)
  TAKE(create_device, "vkCreateDevice");
  TAKE(get_features, "vkGetPhysicalDeviceFeatures");
  TAKE(get_features_2, "vkGetPhysicalDeviceFeatures2");
  TAKE(get_properties, "vkGetPhysicalDeviceProperties");
  TAKE(get_properties_2, "vkGetPhysicalDeviceProperties2");
  return result;
}

EXPORT Function vkGetInstanceProcAddr(Instance owner, const char *name) {
  if (!lavapipe) return NULL;
  if (strcmp(name, "vkCreateInstance") == 0) {
    create_instance = (void *)lavapipe(NULL, name);
    return (Function)instance;
  }
  static const struct { const char *name; Function function; } OURS[] = {
      {"vkGetInstanceProcAddr", (Function)vkGetInstanceProcAddr},
      {"vkCreateDevice", (Function)device},
      {"vkGetPhysicalDeviceFeatures", (Function)features},
      {"vkGetPhysicalDeviceFeatures2", (Function)features_2},
      {"vkGetPhysicalDeviceFeatures2KHR", (Function)features_2},
      {"vkGetPhysicalDeviceProperties", (Function)properties},
      {"vkGetPhysicalDeviceProperties2", (Function)properties_2},
      {"vkGetPhysicalDeviceProperties2KHR", (Function)properties_2},
  };
  for (size_t i = 0; i < sizeof OURS / sizeof *OURS; i++)
    if (strcmp(name, OURS[i].name) == 0) return OURS[i].function;
  return lavapipe(owner, name);
}
