/* tokenizer_char.c - the byte and char tokenizers, see tokenizer.h.
 *
 * Reading a file rebuilds the tables and holds the file they would be saved as against the one that was read: what is
 * not equal would not encode equally, and is refused. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "data/tokenizer/symbols.h"
#include "data/tokenizer/tokenizer_kinds.h"

/* ---- construction ------------------------------------------------------------------------------------------------ */

/* A tokenizer whose token i is the character points[i], all distinct, or with KIND_BYTE the byte. */
static loom_status create(enum loom_tokenizer_kind kind, const uint32_t *points, int count,
                          struct loom_tokenizer **tokenizer, struct loom_error *error) {
    struct loom_tokenizer *made = loom_tokenizer_new(kind);
    struct loom_token *tokens = malloc((size_t)count * sizeof *tokens);
    char(*bytes)[LOOM_UTF8_MAX] = malloc((size_t)count * sizeof *bytes);
    const struct loom_token *clash;
    loom_status status = LOOM_OK;
    for (int i = 0; tokens && bytes && i < count; i++) {
        bytes[i][0] = (char)points[i];
        uint32_t size = kind == LOOM_TOKENIZER_BYTE ? 1 : (uint32_t)loom_utf8_encode(points[i], bytes[i]);
        tokens[i] = (struct loom_token){.id = i, .bytes = bytes[i], .size = size};
    }
    if (made && tokens && bytes)
        status = loom_token_table_open(&made->table, tokens, (size_t)count, count, &clash, error);
    else
        status = loom_fail_memory(error, "tokenizer", (size_t)count * sizeof *tokens);
    free(tokens);
    free(bytes);
    if (status != LOOM_OK) {
        loom_tokenizer_free(made);
        made = NULL;
    }
    *tokenizer = made;
    return status;
}

loom_status loom_tokenizer_byte(struct loom_tokenizer **tokenizer, struct loom_error *error) {
    uint32_t bytes[256];
    for (uint32_t i = 0; i < 256; i++)
        bytes[i] = i;
    return create(LOOM_TOKENIZER_BYTE, bytes, 256, tokenizer, error);
}

/* A char tokenizer whose token i is the code point points[i], all distinct. */
static loom_status create_char(const uint32_t *points, int count, struct loom_tokenizer **tokenizer,
                               struct loom_error *error) {
    uint32_t largest = 0;
    for (int i = 0; i < count; i++)
        largest = points[i] > largest ? points[i] : largest;
    loom_status status = create(LOOM_TOKENIZER_CHAR, points, count, tokenizer, error);
    if (status != LOOM_OK)
        return status;
    (*tokenizer)->n_points = largest + 1;
    (*tokenizer)->ids = calloc((size_t)largest + 1, sizeof *(*tokenizer)->ids);
    if (!(*tokenizer)->ids) {
        loom_tokenizer_free(*tokenizer);
        *tokenizer = NULL;
        return loom_fail_memory(error, "tokenizer", (size_t)largest + 1);
    }
    for (int i = 0; i < count; i++)
        (*tokenizer)->ids[points[i]] = i + 1;
    return LOOM_OK;
}

static bool has_point(const struct loom_characters *characters, uint32_t point) {
    return characters->bits[point / 64] >> (point % 64) & 1;
}

loom_status loom_tokenizer_char(const struct loom_characters *characters, struct loom_tokenizer **tokenizer,
                                struct loom_error *error) {
    *tokenizer = NULL;
    int count = 0;
    for (uint32_t point = 0; point < LOOM_UTF8_POINTS; point++)
        count += has_point(characters, point);
    if (count == 0)
        return loom_fail(error, LOOM_INVALID, "a char tokenizer needs at least one character of text");
    if (has_point(characters, 0))
        return loom_fail(error, LOOM_INVALID,
                         "the text has the character U+0000, which a char tokenizer cannot "
                         "hold; use the byte tokenizer");
    uint32_t *points = malloc((size_t)count * sizeof *points);
    if (!points)
        return loom_fail_memory(error, "tokenizer", (size_t)count * sizeof *points);
    int found = 0;
    for (uint32_t point = 0; point < LOOM_UTF8_POINTS; point++)
        if (has_point(characters, point))
            points[found++] = point;
    loom_status status = create_char(points, count, tokenizer, error);
    free(points);
    return status;
}

/* ---- characters -------------------------------------------------------------------------------------------------- */

loom_status loom_characters_add(struct loom_characters *characters, const struct loom_piece *piece,
                                struct loom_error *error) {
    size_t step;
    uint32_t point;
    for (size_t at = 0; at < piece->size; at += step) {
        loom_status status = loom_piece_character(piece, at, &point, &step, error);
        if (status != LOOM_OK)
            return status;
        characters->bits[point / 64] |= (uint64_t)1 << (point % 64);
    }
    return LOOM_OK;
}

/* ---- tokenizer.json: writing ------------------------------------------------------------------------------------- */

/* {"SYMBOL": id, ...}; NULL when memory is short. */
static json_t *vocabulary_json(const struct loom_tokenizer *tokenizer) {
    json_t *vocabulary = json_object();
    bool done = vocabulary != NULL;
    for (int id = 0; done && id < tokenizer->table.count; id++) {
        char symbol[LOOM_UTF8_MAX + 1] = "";
        if (tokenizer->kind == LOOM_TOKENIZER_BYTE)
            loom_utf8_encode(loom_byte_symbol((unsigned char)id), symbol);
        else
            memcpy(symbol, loom_token_table_bytes(&tokenizer->table, id), loom_token_table_size(&tokenizer->table, id));
        done = json_object_set_new(vocabulary, symbol, json_integer(id)) == 0;
    }
    if (!done) {
        json_decref(vocabulary);
        return NULL;
    }
    return vocabulary;
}

/* The shapes are those that the tokenizers library itself writes, so that a file it has rewritten still reads back.
 * Byte: every byte is a symbol, and a BPE without merges leaves the symbols alone. */
static json_t *byte_json(json_t *vocabulary) {
    return json_pack("{s:s, s:n, s:n, s:[], s:n, s:{s:s, s:b, s:b, s:b}, s:n, s:{s:s, s:b, s:b, s:b},"
                     " s:{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:o, s:[]}}",
                     "version", "1.0", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "type",
                     "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1, "use_regex", 0, "post_processor", "decoder",
                     "type", "ByteLevel", "add_prefix_space", 1, "trim_offsets", 1, "use_regex", 1, "model", "type",
                     "BPE", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0,
                     "byte_fallback", 0, "ignore_merges", 0, "vocab", vocabulary, "merges");
}

/* Char: words of one character each. "<unk>" is never a word, so a character that the vocabulary lacks is an error
 * there as it is here. */
static json_t *char_json(json_t *vocabulary) {
    return json_pack("{s:s, s:n, s:n, s:[], s:n, s:{s:s, s:{s:s}, s:s, s:b}, s:n, s:{s:s}, s:{s:s, s:o, s:s}}",
                     "version", "1.0", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "type",
                     "Split", "pattern", "Regex", "[\\s\\S]", "behavior", "Isolated", "invert", 0, "post_processor",
                     "decoder", "type", "Fuse", "model", "type", "WordLevel", "vocab", vocabulary, "unk_token",
                     "<unk>");
}

json_t *loom_tokenizer_char_json(const struct loom_tokenizer *tokenizer) {
    json_t *vocabulary = vocabulary_json(tokenizer);
    if (!vocabulary)
        return NULL;
    return tokenizer->kind == LOOM_TOKENIZER_BYTE ? byte_json(vocabulary) : char_json(vocabulary);
}

/* ---- tokenizer.json: reading ------------------------------------------------------------------------------------- */

/* Puts the code point of each word at its id; every id from 0 to count-1 must be taken once. U+0000 marks a free id: it
 * cannot come from the file. */
static loom_status read_words(json_t *vocabulary, const char *name, uint32_t *points, size_t count,
                              struct loom_error *error) {
    const char *word;
    json_t *value;
    json_object_foreach(vocabulary, word, value) {
        uint32_t point;
        size_t size = strlen(word);
        if (size == 0 || loom_utf8_decode(word, size, &point) != size)
            return loom_fail(error, LOOM_FAILED,
                             "%s: the word \"%.64s\" is not one character; of WordLevel models only "
                             "those of single characters are supported",
                             name, word);
        json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        if (id < 0 || (uint64_t)id >= count || points[id] != 0)
            return loom_fail(error, LOOM_FAILED,
                             "%s: the %zu words must have the ids 0 to %zu, each once; \"%s\" does "
                             "not",
                             name, count, count - 1, word);
        points[id] = point;
    }
    return LOOM_OK;
}

static loom_status read_char(const json_t *model, const char *name, struct loom_tokenizer **tokenizer,
                             struct loom_error *error) {
    json_t *vocabulary = json_object_get(model, "vocab");
    size_t count = json_object_size(vocabulary);
    if (count == 0 || count > LOOM_UTF8_POINTS)
        return loom_fail(error, LOOM_FAILED, "%s: the model has no vocabulary of 1 to %d words", name,
                         LOOM_UTF8_POINTS);
    uint32_t *points = calloc(count, sizeof *points);
    if (!points)
        return loom_fail_memory(error, name, count * sizeof *points);
    loom_status status = read_words(vocabulary, name, points, count, error);
    if (status == LOOM_OK)
        status = create_char(points, (int)count, tokenizer, error);
    free(points);
    return status;
}

/* Says which key of the file differs from the one file that this tokenizer is saved as. */
static loom_status compare(json_t *json, const struct loom_tokenizer *tokenizer, const char *name,
                           struct loom_error *error) {
    json_t *expected = loom_tokenizer_char_json(tokenizer);
    if (!expected)
        return loom_fail_memory(error, name, 0);
    const char *differs = NULL, *key;
    json_t *value;
    json_object_foreach(expected, key, value) {
        if (!differs && !json_equal(value, json_object_get(json, key)))
            differs = key;
    }
    json_object_foreach(json, key, value) {
        if (!differs && !json_object_get(expected, key))
            differs = key;
    }
    loom_status status = LOOM_OK;
    if (differs)
        status = loom_fail(error, LOOM_FAILED,
                           "%s: its \"%.64s\" is not supported; only byte and char tokenizers as "
                           "loom prepare writes them are",
                           name, differs);
    json_decref(expected);
    return status;
}

loom_status loom_tokenizer_char_read(json_t *json, const char *name, struct loom_tokenizer **tokenizer,
                                     struct loom_error *error) {
    const json_t *model = json_object_get(json, "model");
    const char *type = json_string_value(json_object_get(model, "type"));
    loom_status status = type && strcmp(type, "WordLevel") == 0 ? read_char(model, name, tokenizer, error)
                                                                : loom_tokenizer_byte(tokenizer, error);
    return status == LOOM_OK ? compare(json, *tokenizer, name, error) : status;
}
