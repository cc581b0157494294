/* bpe_train.c - see bpe_train.h.
 *
 * Each distinct word is a row of tokens, at first its bytes. For each pair of neighbours there are its count over all
 * words, which is always exact, and a list of the words where it has been. A heap has the pairs by the count that they
 * had when they were put in: counts that have fallen since are found out when a pair comes to the top, and those that
 * have risen are put in again. A merge walks only over the words of its pair. */
#include "data/tokenizer/bpe_train.h"

#include <stdlib.h>

#include "base/grow.h"

enum { NONE = UINT32_MAX, REPORT_EVERY = 256 };

struct word {
    uint32_t start, size; /* in tokens */
    int64_t count;
};

struct pair {
    uint32_t left, right;
    int64_t count;
    uint32_t places; /* the list of words; NONE at its end */
    bool raised;     /* by the merge that is going on */
};

struct place {
    uint32_t word, next;
};

/* A pair as it was when it was put into the heap. */
struct candidate {
    int64_t count;
    uint32_t left, right, pair;
};

struct trainer {
    uint32_t *tokens;
    struct word *words;
    size_t n_words;
    struct pair *pairs;
    size_t n_pairs, pairs_capacity;
    uint32_t *slots; /* index of the pair, NONE: free; a power of two, at least twice the pairs */
    size_t n_slots;
    struct place *places;
    size_t n_places, places_capacity;
    uint32_t free_place;
    struct candidate *heap;
    size_t n_heap, heap_capacity;
    uint32_t *raised;
    size_t n_raised, raised_capacity;
    uint32_t *sizes; /* bytes of each token */
    bool failed;     /* an allocation failed: nothing has meaning any more */
};

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* The array, moved if need be, with room for one more element of `size` bytes, or t->failed. */
static void *reserve(struct trainer *t, void *array, size_t count, size_t *capacity, size_t size) {
    void *grown = count < NONE ? loom_grow(array, capacity, count + 1, size) : NULL;
    t->failed = t->failed || !grown;
    return grown ? grown : array;
}

static void close_trainer(struct trainer *t) {
    free(t->tokens);
    free(t->words);
    free(t->pairs);
    free(t->slots);
    free(t->places);
    free(t->heap);
    free(t->raised);
    free(t->sizes);
}

/* ---- pairs ------------------------------------------------------------------------------------------------------- */

static bool grow_slots(struct trainer *t) {
    size_t n = t->n_slots > 0 ? 2 * t->n_slots : 1 << 12;
    uint32_t *slots = malloc(n * sizeof *slots);
    if (!slots) {
        t->failed = true;
        return false;
    }
    memset(slots, 0xFF, n * sizeof *slots);
    for (size_t i = 0; i < t->n_pairs; i++) {
        size_t at = loom_hash_mix(t->pairs[i].left, t->pairs[i].right) & (n - 1);
        while (slots[at] != NONE)
            at = (at + 1) & (n - 1);
        slots[at] = (uint32_t)i;
    }
    free(t->slots);
    t->slots = slots;
    t->n_slots = n;
    return true;
}

/* The index of a pair, which is made if need be; NONE after a failure. */
static uint32_t pair_of(struct trainer *t, uint32_t left, uint32_t right) {
    if (2 * t->n_pairs >= t->n_slots && !grow_slots(t))
        return NONE;
    size_t at = loom_hash_mix(left, right) & (t->n_slots - 1);
    for (; t->slots[at] != NONE; at = (at + 1) & (t->n_slots - 1)) {
        const struct pair *pair = &t->pairs[t->slots[at]];
        if (pair->left == left && pair->right == right)
            return t->slots[at];
    }
    t->pairs = reserve(t, t->pairs, t->n_pairs, &t->pairs_capacity, sizeof *t->pairs);
    if (t->failed)
        return NONE;
    t->pairs[t->n_pairs] = (struct pair){left, right, 0, NONE, false};
    return t->slots[at] = (uint32_t)t->n_pairs++;
}

static void take_pair(struct trainer *t, uint32_t left, uint32_t right, int64_t count) {
    uint32_t index = pair_of(t, left, right);
    if (index != NONE)
        t->pairs[index].count -= count;
}

/* Remembers that a pair's count has risen. */
static void note_raised(struct trainer *t, uint32_t index) {
    if (t->pairs[index].raised)
        return;
    t->raised = reserve(t, t->raised, t->n_raised, &t->raised_capacity, sizeof *t->raised);
    if (t->failed)
        return;
    t->pairs[index].raised = true;
    t->raised[t->n_raised++] = index;
}

/* Lists a word under a pair, once in a row. */
static void list_word(struct trainer *t, uint32_t index, uint32_t word) {
    struct pair *pair = &t->pairs[index];
    uint32_t place = t->free_place;
    if (pair->places != NONE && t->places[pair->places].word == word)
        return;
    if (place != NONE)
        t->free_place = t->places[place].next;
    else {
        t->places = reserve(t, t->places, t->n_places, &t->places_capacity, sizeof *t->places);
        if (t->failed)
            return;
        place = (uint32_t)t->n_places++;
    }
    t->places[place] = (struct place){word, pair->places};
    pair->places = place;
}

/* Counts a pair in a word. */
static void add_pair(struct trainer *t, uint32_t left, uint32_t right, uint32_t word) {
    uint32_t index = pair_of(t, left, right);
    if (index == NONE)
        return;
    t->pairs[index].count += t->words[word].count;
    note_raised(t, index);
    list_word(t, index, word);
}

/* ---- the heap ---------------------------------------------------------------------------------------------------- */

static bool comes_before(const struct candidate *a, const struct candidate *b) {
    if (a->count != b->count)
        return a->count > b->count;
    return a->left != b->left ? a->left < b->left : a->right < b->right;
}

static void push(struct trainer *t, uint32_t index) {
    const struct pair *pair = &t->pairs[index];
    const struct candidate new = {pair->count, pair->left, pair->right, index};
    if (new.count <= 0)
        return;
    t->heap = reserve(t, t->heap, t->n_heap, &t->heap_capacity, sizeof *t->heap);
    if (t->failed)
        return;
    size_t at = t->n_heap++;
    for (; at > 0 && comes_before(&new, &t->heap[(at - 1) / 2]); at = (at - 1) / 2)
        t->heap[at] = t->heap[(at - 1) / 2];
    t->heap[at] = new;
}

static struct candidate pop(struct trainer *t) {
    const struct candidate top = t->heap[0], last = t->heap[--t->n_heap];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < t->n_heap; at = child) {
        child += child + 1 < t->n_heap && comes_before(&t->heap[child + 1], &t->heap[child]);
        if (!comes_before(&t->heap[child], &last))
            break;
        t->heap[at] = t->heap[child];
    }
    t->heap[at] = last;
    return top;
}

/* Puts the pairs whose counts have risen into the heap. */
static void push_raised(struct trainer *t) {
    for (size_t i = 0; i < t->n_raised; i++) {
        t->pairs[t->raised[i]].raised = false;
        push(t, t->raised[i]);
    }
    t->n_raised = 0;
}

/* The pair that occurs most often, of those whose token is not too long; NONE when there is none. */
static uint32_t most_frequent(struct trainer *t, size_t max_bytes) {
    while (t->n_heap > 0) {
        const struct candidate top = pop(t);
        if (top.count != t->pairs[top.pair].count)
            push(t, top.pair);
        else if (t->sizes[top.left] + t->sizes[top.right] <= max_bytes)
            return top.pair;
    }
    return NONE;
}

/* ---- merging ----------------------------------------------------------------------------------------------------- */

/* Merges left and right wherever they are neighbours in a word, from its front. */
static void merge_word(struct trainer *t, uint32_t index, uint32_t left, uint32_t right, uint32_t made) {
    struct word *word = &t->words[index];
    uint32_t *tokens = t->tokens + word->start, size = word->size, kept = 0, at = 0;
    while (at < size) {
        if (at + 1 >= size || tokens[at] != left || tokens[at + 1] != right) {
            tokens[kept++] = tokens[at++];
            continue;
        }
        if (kept > 0) {
            take_pair(t, tokens[kept - 1], left, word->count);
            add_pair(t, tokens[kept - 1], made, index);
        }
        if (at + 2 < size) {
            take_pair(t, right, tokens[at + 2], word->count);
            add_pair(t, made, tokens[at + 2], index);
        }
        tokens[kept++] = made;
        at += 2;
    }
    word->size = kept;
}

static void merge_pair(struct trainer *t, uint32_t index, uint32_t made) {
    const struct pair pair = t->pairs[index];
    for (uint32_t place = pair.places, next; place != NONE && !t->failed; place = next) {
        next = t->places[place].next;
        uint32_t word = t->places[place].word;
        t->places[place].next = t->free_place;
        t->free_place = place;
        merge_word(t, word, pair.left, pair.right, made);
    }
    t->pairs[index].places = NONE;
    t->pairs[index].count = 0;
    t->sizes[made] = t->sizes[pair.left] + t->sizes[pair.right];
    push_raised(t);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static void fill_words(struct trainer *t, const struct loom_word_counts *counts, const unsigned char byte_ids[256]) {
    uint32_t end = 0;
    for (size_t i = 0; i < counts->n_entries; i++) {
        const struct loom_word_count *entry = &counts->entries[i];
        const unsigned char *bytes = (const unsigned char *)loom_word_bytes(counts, entry);
        if (entry->count == 0)
            continue;
        for (uint32_t j = 0; j < entry->size; j++)
            t->tokens[end + j] = byte_ids[bytes[j]];
        t->words[t->n_words++] = (struct word){end, entry->size, (int64_t)entry->count};
        end += entry->size;
    }
}

static loom_status open_trainer(struct trainer *t, const struct loom_word_counts *counts,
                                const unsigned char byte_ids[256], size_t wanted, struct loom_error *error) {
    *t = (struct trainer){.free_place = NONE};
    if (counts->total >= NONE || counts->count >= NONE)
        return loom_fail(error, LOOM_FAILED, "the text has %zu distinct words; their %llu bytes are too many",
                         counts->count, (unsigned long long)counts->total);
    t->tokens = malloc((counts->total + 1) * sizeof *t->tokens);
    t->words = malloc((counts->count + 1) * sizeof *t->words);
    t->sizes = malloc((256 + wanted) * sizeof *t->sizes);
    if (!t->tokens || !t->words || !t->sizes)
        return loom_fail_memory(error, "words", counts->total * sizeof *t->tokens + counts->count * sizeof *t->words);
    for (size_t i = 0; i < 256; i++)
        t->sizes[i] = 1;
    fill_words(t, counts, byte_ids);
    for (uint32_t i = 0; i < t->n_words; i++)
        for (uint32_t j = 0; j + 1 < t->words[i].size; j++)
            add_pair(t, t->tokens[t->words[i].start + j], t->tokens[t->words[i].start + j + 1], i);
    push_raised(t);
    return LOOM_OK;
}

static loom_status find_merges(struct trainer *t, size_t max_bytes, size_t wanted, loom_merges_function on_merges,
                               void *user, struct loom_merge *merges, size_t *found, struct loom_error *error) {
    for (; *found < wanted && !t->failed; ++*found) {
        uint32_t index = most_frequent(t, max_bytes), made = 256 + (uint32_t)*found;
        if (index == NONE)
            break;
        merges[*found] = (struct loom_merge){t->pairs[index].left, t->pairs[index].right, (uint32_t)*found, made};
        merge_pair(t, index, made);
        if (on_merges && (*found + 1) % REPORT_EVERY == 0 && !on_merges(user, *found + 1, wanted))
            return loom_fail(error, LOOM_STOPPED, "stopped after %zu of %zu merges", *found + 1, wanted);
    }
    return t->failed ? loom_fail_memory(error, "pairs of tokens", t->n_pairs * sizeof *t->pairs) : LOOM_OK;
}

loom_status loom_bpe_train(const struct loom_word_counts *words, const unsigned char byte_ids[256], size_t max_bytes,
                           size_t wanted, loom_merges_function on_merges, void *user, struct loom_merge *merges,
                           size_t *found, struct loom_error *error) {
    struct trainer trainer;
    *found = 0;
    loom_status status = open_trainer(&trainer, words, byte_ids, wanted, error);
    if (status == LOOM_OK)
        status = find_merges(&trainer, max_bytes, wanted, on_merges, user, merges, found, error);
    close_trainer(&trainer);
    return status;
}
