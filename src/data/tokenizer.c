/* tokenizer.c - the byte and char tokenizers, see tokenizer.h.
 *
 * A tokenizer is two tables: the bytes of each token, one behind the other, and for the char kind the id of each code
 * point, an array as long as the largest one. Reading a file rebuilds the tables and holds the file they would be saved
 * as against the one that was read: what is not equal would not encode equally, and is refused. */
#include "data/tokenizer_kinds.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"

/* ---- construction ------------------------------------------------------------------------------------------------ */

/* A tokenizer with room for its tables; n_points is 0 for the byte kind. */
static loom_status create(enum loom_tokenizer_kind kind, int vocab_size, uint32_t n_points,
                          struct loom_tokenizer **tokenizer, struct loom_error *error) {
    size_t tokens = (size_t)vocab_size, bytes = tokens * LOOM_UTF8_MAX;
    struct loom_tokenizer *made = calloc(1, sizeof *made);
    *tokenizer = NULL;
    if (made) {
        *made = (struct loom_tokenizer){kind,
                                        vocab_size,
                                        malloc(bytes),
                                        calloc(tokens + 1, sizeof *made->starts),
                                        calloc((size_t)n_points + 1, sizeof *made->ids),
                                        n_points};
        if (made->bytes && made->starts && made->ids)
            *tokenizer = made;
        else
            loom_tokenizer_free(made);
    }
    return *tokenizer ? LOOM_OK : loom_fail_memory(error, "tokenizer", bytes);
}

void loom_tokenizer_free(struct loom_tokenizer *tokenizer) {
    if (!tokenizer)
        return;
    free(tokenizer->bytes);
    free(tokenizer->starts);
    free(tokenizer->ids);
    free(tokenizer);
}

loom_status loom_tokenizer_byte(struct loom_tokenizer **tokenizer, struct loom_error *error) {
    loom_status status = create(LOOM_TOKENIZER_BYTE, 256, 0, tokenizer, error);
    for (uint32_t i = 0; status == LOOM_OK && i < 256; i++) {
        (*tokenizer)->bytes[i] = (char)i;
        (*tokenizer)->starts[i + 1] = i + 1;
    }
    return status;
}

/* A char tokenizer whose token i is the code point points[i], all distinct. */
static loom_status create_char(const uint32_t *points, int count, struct loom_tokenizer **tokenizer,
                               struct loom_error *error) {
    uint32_t largest = 0, end = 0;
    for (int i = 0; i < count; i++)
        largest = points[i] > largest ? points[i] : largest;
    loom_status status = create(LOOM_TOKENIZER_CHAR, count, largest + 1, tokenizer, error);
    for (int i = 0; status == LOOM_OK && i < count; i++) {
        end += (uint32_t)loom_utf8_encode(points[i], (*tokenizer)->bytes + end);
        (*tokenizer)->starts[i + 1] = end;
        (*tokenizer)->ids[points[i]] = i + 1;
    }
    return status;
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

int loom_tokenizer_end_of_text(const struct loom_tokenizer *tokenizer) {
    (void)tokenizer; /* neither kind has one */
    return -1;
}

int loom_tokenizer_vocab_size(const struct loom_tokenizer *tokenizer) {
    return tokenizer->vocab_size;
}

const char *loom_tokenizer_token(const struct loom_tokenizer *tokenizer, int id, size_t *size) {
    if (id < 0 || id >= tokenizer->vocab_size)
        return NULL;
    *size = tokenizer->starts[id + 1] - tokenizer->starts[id];
    return tokenizer->bytes + tokenizer->starts[id];
}

/* ---- tokenizer.json: writing ------------------------------------------------------------------------------------- */

/* GPT-2's printable stand-in for each byte: a byte that prints stands for itself; the 68 others, in order, for the code
 * points from 256 on. */
static uint32_t byte_symbol(uint32_t byte) {
    if ((byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD))
        return byte;
    if (byte <= 0x20)
        return 256 + byte;
    return byte == 0xAD ? 323 : 256 + 33 + (byte - 0x7F);
}

/* {"SYMBOL": id, ...}; NULL when memory is short. */
static json_t *vocabulary_json(const struct loom_tokenizer *tokenizer) {
    json_t *vocabulary = json_object();
    bool done = vocabulary != NULL;
    for (int id = 0; done && id < tokenizer->vocab_size; id++) {
        char symbol[LOOM_UTF8_MAX + 1] = "";
        if (tokenizer->kind == LOOM_TOKENIZER_BYTE)
            loom_utf8_encode(byte_symbol((uint32_t)id), symbol);
        else
            memcpy(symbol, tokenizer->bytes + tokenizer->starts[id], tokenizer->starts[id + 1] - tokenizer->starts[id]);
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

json_t *loom_tokenizer_json(const struct loom_tokenizer *tokenizer) {
    json_t *vocabulary = vocabulary_json(tokenizer);
    if (!vocabulary)
        return NULL;
    return tokenizer->kind == LOOM_TOKENIZER_BYTE ? byte_json(vocabulary) : char_json(vocabulary);
}

loom_status loom_tokenizer_save(const struct loom_tokenizer *tokenizer, const char *folder, struct loom_error *error) {
    char *path = loom_path_join(folder, LOOM_TOKENIZER_FILE);
    json_t *json = loom_tokenizer_json(tokenizer);
    loom_status status = path && json ? loom_json_write(path, json, error) : loom_fail_memory(error, folder, 0);
    json_decref(json);
    free(path);
    return status;
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
    json_t *expected = loom_tokenizer_json(tokenizer);
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

static loom_status recognise(json_t *json, const char *name, struct loom_tokenizer **tokenizer,
                             struct loom_error *error) {
    const json_t *model = json_object_get(json, "model");
    const char *type;
    if (!json_is_object(model))
        return loom_fail(error, LOOM_FAILED, "%s: not a tokenizer: it has no \"model\" object", name);
    loom_status status = loom_json_string(model, "type", name, &type, error);
    if (status != LOOM_OK)
        return status;
    size_t merges = json_array_size(json_object_get(model, "merges"));
    if (strcmp(type, "WordLevel") == 0)
        return read_char(model, name, tokenizer, error);
    if (strcmp(type, "BPE") == 0 && merges == 0)
        return loom_tokenizer_byte(tokenizer, error);
    return loom_fail(error, LOOM_FAILED,
                     "%s: a tokenizer of type \"%.64s\" with %zu merges is not supported yet; only "
                     "byte and char tokenizers are",
                     name, type, merges);
}

/* Builds the tokenizer that `json` describes; takes the reference. */
static loom_status accept(json_t *json, const char *name, struct loom_tokenizer **tokenizer, struct loom_error *error) {
    loom_status status = recognise(json, name, tokenizer, error);
    if (status == LOOM_OK)
        status = compare(json, *tokenizer, name, error);
    if (status != LOOM_OK) {
        loom_tokenizer_free(*tokenizer);
        *tokenizer = NULL;
    }
    json_decref(json);
    return status;
}

loom_status loom_tokenizer_parse(const char *text, size_t size, const char *name, struct loom_tokenizer **tokenizer,
                                 struct loom_error *error) {
    json_t *json;
    *tokenizer = NULL;
    loom_status status = loom_json_parse(text, size, name, &json, error);
    return status == LOOM_OK ? accept(json, name, tokenizer, error) : status;
}

loom_status loom_tokenizer_open(const char *path, struct loom_tokenizer **tokenizer, struct loom_error *error) {
    *tokenizer = NULL;
    if (strcmp(path, "byte") == 0)
        return loom_tokenizer_byte(tokenizer, error);
    char *file = loom_path_is_folder(path) ? loom_path_join(path, LOOM_TOKENIZER_FILE) : strdup(path);
    if (!file)
        return loom_fail_memory(error, path, strlen(path));
    json_t *json;
    loom_status status = loom_json_read(file, &json, error);
    if (status == LOOM_OK)
        status = accept(json, file, tokenizer, error);
    free(file);
    return status;
}
