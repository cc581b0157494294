/* tokenizer_json_write.c - a BPE tokenizer as the text of a tokenizer.json that the tokenizers library loads and
 * encodes equally with. Written straight, as a vocabulary of 200,000 tokens is long. */
#include <jansson.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/text.h"
#include "data/tokenizer/symbols.h"
#include "data/tokenizer/tokenizer_kinds.h"

static void put_string(struct loom_text *text, const char *bytes, size_t size) {
    json_t *string = json_stringn(bytes, size);
    char *quoted = string ? loom_json_text(string, JSON_ENCODE_ANY) : NULL;
    if (quoted)
        loom_text_append(text, "%s", quoted);
    else
        text->failed = true;
    free(quoted);
    json_decref(string);
}

static void put_added(struct loom_text *text, const struct loom_tokenizer *tokenizer) {
    const char *between = "\n";
    loom_text_append(text, "  \"added_tokens\": [");
    for (int id = 0; id < tokenizer->table.count; id++) {
        for (size_t i = 0; i < tokenizer->added.count; i++) {
            const struct loom_added_token *token = &tokenizer->added.tokens[i];
            /* A second name of an id, which is not its bytes, has no place in the form. */
            if (token->id != id || token->size != loom_token_table_size(&tokenizer->table, id) ||
                memcmp(token->content, loom_token_table_bytes(&tokenizer->table, id), token->size) != 0)
                continue;
            loom_text_append(text, "%s    {\"id\": %d, \"content\": ", between, id);
            put_string(text, token->content, token->size);
            loom_text_append(text,
                             ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": %s, "
                             "\"special\": %s}",
                             token->late ? "true" : "false", token->special ? "true" : "false");
            between = ",\n";
        }
    }
    loom_text_append(text, "\n  ],\n");
}

static void put_splitting(struct loom_text *text, const struct loom_split *split) {
    char *pattern = loom_split_pattern(split);
    if (!pattern) {
        text->failed = true;
        return;
    }
    loom_text_append(text, "  \"normalizer\": null,\n"
                           "  \"pre_tokenizer\": {\n    \"type\": \"Sequence\",\n    \"pretokenizers\": [\n"
                           "      {\"type\": \"Split\", \"pattern\": {\"Regex\": ");
    put_string(text, pattern, strlen(pattern));
    loom_text_append(text, "}, \"behavior\": \"Isolated\", \"invert\": false},\n"
                           "      {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, "
                           "\"use_regex\": false}\n    ]\n  },\n"
                           "  \"post_processor\": null,\n"
                           "  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": "
                           "true, \"use_regex\": true},\n");
    free(pattern);
}

/* Added tokens stand among the words too: the library gives those that do not the next free ids, whatever the file
 * says.
 */
static void put_words(struct loom_text *text, const struct loom_tokenizer *tokenizer) {
    const struct loom_token_table *table = &tokenizer->table;
    const char *between = "\n";
    loom_text_append(text, "    \"vocab\": {");
    for (int id = 0; id < table->count; id++) {
        const char *bytes = loom_token_table_bytes(table, id);
        size_t size = loom_token_table_size(table, id);
        if (size == 0)
            continue;
        loom_text_append(text, "%s      ", between);
        if (loom_token_table_find(table, bytes, size) == id) {
            loom_text_append(text, "\"");
            loom_symbols_put_json(text, bytes, size);
            loom_text_append(text, "\"");
        } else
            put_string(text, bytes, size);
        loom_text_append(text, ": %d", id);
        between = ",\n";
    }
    loom_text_append(text, "\n    },\n");
}

static void put_merges(struct loom_text *text, const struct loom_tokenizer *tokenizer) {
    const struct loom_bpe *bpe = &tokenizer->bpe;
    const struct loom_token_table *table = &tokenizer->table;
    const struct loom_merge **order = calloc((size_t)bpe->n_merges + 1, sizeof *order);
    if (!order) {
        text->failed = true;
        return;
    }
    for (uint32_t i = 0; i < bpe->n_entries; i++)
        if (bpe->table[i].left != UINT32_MAX)
            order[bpe->table[i].rank] = &bpe->table[i];
    loom_text_append(text, "    \"merges\": [");
    for (uint32_t i = 0; i < bpe->n_merges; i++) {
        int left = (int)order[i]->left, right = (int)order[i]->right;
        loom_text_append(text, "%s      [\"", i > 0 ? ",\n" : "\n");
        loom_symbols_put_json(text, loom_token_table_bytes(table, left), loom_token_table_size(table, left));
        loom_text_append(text, "\", \"");
        loom_symbols_put_json(text, loom_token_table_bytes(table, right), loom_token_table_size(table, right));
        loom_text_append(text, "\"]");
    }
    loom_text_append(text, "\n    ]\n");
    free(order);
}

char *loom_tokenizer_bpe_text(const struct loom_tokenizer *tokenizer, size_t *size) {
    struct loom_text text = {NULL, 0, 0, false};
    loom_text_append(&text, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n");
    put_added(&text, tokenizer);
    put_splitting(&text, &tokenizer->split);
    loom_text_append(&text,
                     "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n"
                     "    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n"
                     "    \"fuse_unk\": false,\n    \"byte_fallback\": false,\n    \"ignore_merges\": %s,\n",
                     tokenizer->whole_words ? "true" : "false");
    put_words(&text, tokenizer);
    put_merges(&text, tokenizer);
    loom_text_append(&text, "  }\n}\n");
    if (text.failed) {
        loom_text_free(&text);
        return NULL;
    }
    *size = text.size;
    return text.data;
}
