/* digest.c - see digest.h. */
#include "base/digest.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>

loom_status loom_digest_open(struct loom_digest *digest, struct loom_error *error) {
    digest->context = EVP_MD_CTX_new();
    if (digest->context && EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL) == 1)
        return LOOM_OK;
    loom_digest_close(digest);
    return loom_fail_memory(error, "SHA-256", sizeof(EVP_MD_CTX *));
}

void loom_digest_put(struct loom_digest *digest, const void *data, size_t size) {
    EVP_DigestUpdate(digest->context, data, size);
}

void loom_digest_finish(const struct loom_digest *digest, unsigned char hash[LOOM_SHA256_BYTES]) {
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    memset(hash, 0, LOOM_SHA256_BYTES);
    if (copy && EVP_MD_CTX_copy_ex(copy, digest->context) == 1)
        EVP_DigestFinal_ex(copy, hash, NULL);
    EVP_MD_CTX_free(copy);
}

void loom_digest_text(const struct loom_digest *digest, char text[LOOM_SHA256_TEXT]) {
    unsigned char hash[LOOM_SHA256_BYTES];
    loom_digest_finish(digest, hash);
    loom_sha256_text(hash, text);
}

void loom_digest_close(struct loom_digest *digest) {
    EVP_MD_CTX_free(digest->context);
    digest->context = NULL;
}

void loom_sha256(const void *data, size_t size, unsigned char hash[LOOM_SHA256_BYTES]) {
    SHA256(data, size, hash);
}

void loom_sha256_text(const unsigned char hash[LOOM_SHA256_BYTES], char text[LOOM_SHA256_TEXT]) {
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < LOOM_SHA256_BYTES; i++) {
        text[2 * i] = digits[hash[i] >> 4];
        text[2 * i + 1] = digits[hash[i] & 15];
    }
    text[2 * LOOM_SHA256_BYTES] = '\0';
}
