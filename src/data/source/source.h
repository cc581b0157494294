/* source.h - where text comes from: files, folders, patterns, standard input, remote data sets; in a fixed order. */
#ifndef LOOM_DATA_SOURCE_H
#define LOOM_DATA_SOURCE_H

#include <stdbool.h>

#include "base/digest.h"
#include "data/source/stream.h"

enum loom_format { LOOM_FORMAT_AUTO, LOOM_FORMAT_TEXT, LOOM_FORMAT_JSONL, LOOM_FORMAT_PARQUET };

/* "auto", "text", "jsonl", "parquet", NULL */
extern const char *const loom_format_names[];

/* By its name; NULL is "auto". Fails with LOOM_INVALID on another. */
loom_status loom_format_find(const char *name, enum loom_format *format, struct loom_error *error);

struct loom_source {
    char *path; /* "-" is standard input */
    enum loom_format format;
    enum loom_packing packing;
    bool remote;                   /* an address that only DuckDB can read */
    uint64_t bytes;                /* as stored; 0 where it is not known */
    char sha256[LOOM_SHA256_TEXT]; /* of the stored bytes, when read to the end; empty where it is not known */
    /* Of a plain text that was looked through before it is read: */
    bool left_out, has_content;               /* it is broken and passed over; its hash is known */
    unsigned char content[LOOM_SHA256_BYTES]; /* of the unpacked text */
};

struct loom_sources {
    struct loom_source *items;
    size_t count;
};

/* Lists what the inputs stand for, in the order given. A folder stands for the .txt, .jsonl and .parquet files (each
 * also as .gz or .zst) in it and below it, sorted by name; a pattern with *, ? or [ for the files that match, sorted;
 * "-" for standard input; an address such as hf://... for a remote Parquet file or pattern. `format` AUTO goes by the
 * names: what is not named as another format is text. Fails with LOOM_INVALID on an empty file, a folder or pattern
 * without text, and a kind of file that is none of these; with LOOM_IO on what is missing or may not be read. */
loom_status loom_sources_open(const char *const *inputs, size_t n_inputs, enum loom_format format,
                              struct loom_sources *sources, struct loom_error *error);
void loom_sources_free(struct loom_sources *sources);

/* How a file of this name is packed; the ending that says so is cut off name[0..*length). */
enum loom_packing loom_packing_of(const char *name, size_t *length);

/* Whether it is standard input, which can be read once. */
bool loom_source_is_input(const struct loom_source *source);

/* What sentences call a source: its path, or "standard input". */
const char *loom_source_name(const struct loom_source *source);

#endif
