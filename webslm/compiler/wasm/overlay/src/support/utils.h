// Included by the tensor cache, which calls nothing of it. Written for webslm.
#ifndef WEBSLM_OVERLAY_SRC_SUPPORT_UTILS_H_
#define WEBSLM_OVERLAY_SRC_SUPPORT_UTILS_H_
#endif  // WEBSLM_OVERLAY_SRC_SUPPORT_UTILS_H_
