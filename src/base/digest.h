/* digest.h - SHA-256, by OpenSSL's libcrypto, which uses the processor's own instructions for it where there are any.
 */
#ifndef LOOM_BASE_DIGEST_H
#define LOOM_BASE_DIGEST_H

#include "base/status.h"

enum { LOOM_SHA256_BYTES = 32, LOOM_SHA256_TEXT = 2 * LOOM_SHA256_BYTES + 1 }; /* in hexadecimal, with the final NUL */

/* A hash under way. All zero is a closed one. */
struct loom_digest {
    void *context;
};

loom_status loom_digest_open(struct loom_digest *digest, struct loom_error *error);
void loom_digest_put(struct loom_digest *digest, const void *data, size_t size);
/* The hash of what was put so far; more may be put afterwards. */
void loom_digest_finish(const struct loom_digest *digest, unsigned char hash[LOOM_SHA256_BYTES]);
/* The same in hexadecimal. */
void loom_digest_text(const struct loom_digest *digest, char text[LOOM_SHA256_TEXT]);
void loom_digest_close(struct loom_digest *digest);

/* The hash of one array. */
void loom_sha256(const void *data, size_t size, unsigned char hash[LOOM_SHA256_BYTES]);
/* A hash in hexadecimal. */
void loom_sha256_text(const unsigned char hash[LOOM_SHA256_BYTES], char text[LOOM_SHA256_TEXT]);

#endif
