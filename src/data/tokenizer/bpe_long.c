/* bpe_long.c - words of any length; see bpe.h.
 *
 * The parts of the word are a doubly linked list in an array. For each rank there is a list of the places where a pair
 * of that rank has appeared, and a heap has the ranks whose lists are not empty. The least rank's places are taken all
 * at once, from left to right: as a merge makes pairs of other ranks only, the list is whole by then, unless the merges
 * are out of order and a pair of lesser rank appears, which has to come first. So the heap holds ranks and not places,
 * and the work walks through memory in order. */
#include <stdbool.h>
#include <stdlib.h>

#include "data/tokenizer/bpe.h"

enum { NONE = UINT32_MAX, KEPT = 1 << 20 /* a longer word's memory is given back */ };

/* The part that begins at this byte of the word, if one does. */
struct loom_bpe_part {
    uint32_t id, rank; /* rank of the merge with the next part; NONE: no merge, or no part begins here */
    uint32_t previous, next;
};

struct loom_bpe_link {
    uint32_t place, next;
};

struct word {
    const struct loom_bpe *bpe;
    struct loom_bpe_scratch *scratch;
    uint32_t size;
    uint32_t free_link, used_links; /* links given back; links ever taken */
    uint32_t n_heap;
};

void loom_bpe_scratch_free(struct loom_bpe_scratch *scratch) {
    free(scratch->parts);
    free(scratch->links);
    free(scratch->heads);
    free(scratch->heap);
    free(scratch->run);
    *scratch = (struct loom_bpe_scratch){.parts = NULL};
}

/* Links that may be in use at once: each of the word's places can be listed once for its first rank, and each merge
 * takes one place out of a list and puts at most two in. */
static size_t links_for(size_t size) {
    return 2 * size;
}

static loom_status reserve(const struct loom_bpe *bpe, struct loom_bpe_scratch *s, size_t size,
                           struct loom_error *error) {
    if (!s->heads) {
        size_t ranks = (size_t)bpe->n_merges + 1;
        s->heads = malloc(ranks * sizeof *s->heads);
        s->heap = malloc(ranks * sizeof *s->heap);
        if (!s->heads || !s->heap) {
            loom_bpe_scratch_free(s);
            return loom_fail_memory(error, "a long word", ranks * (sizeof *s->heads + sizeof *s->heap));
        }
        memset(s->heads, 0xFF, ranks * sizeof *s->heads);
    }
    if (size <= s->capacity)
        return LOOM_OK;
    free(s->parts);
    free(s->links);
    free(s->run);
    s->parts = malloc(size * sizeof *s->parts);
    s->links = malloc(links_for(size) * sizeof *s->links);
    s->run = malloc(size * sizeof *s->run);
    s->capacity = s->parts && s->links && s->run ? size : 0;
    return s->capacity ? LOOM_OK : loom_fail_memory(error, "a long word", size * 36);
}

/* ---- ranks with places ------------------------------------------------------------------------------------------- */

static void heap_push(struct word *w, uint32_t rank) {
    uint32_t *heap = w->scratch->heap, at = w->n_heap++;
    for (; at > 0 && heap[(at - 1) / 2] > rank; at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = rank;
}

static uint32_t heap_pop(struct word *w) {
    uint32_t *heap = w->scratch->heap, least = heap[0], last = heap[--w->n_heap], at = 0;
    for (uint32_t child; (child = 2 * at + 1) < w->n_heap; at = child) {
        child += child + 1 < w->n_heap && heap[child + 1] < heap[child];
        if (heap[child] >= last)
            break;
        heap[at] = heap[child];
    }
    heap[at] = last;
    return least;
}

/* Lists a place under its rank. */
static void list_place(struct word *w, uint32_t place, uint32_t rank) {
    struct loom_bpe_scratch *s = w->scratch;
    uint32_t link = w->free_link;
    if (link != NONE)
        w->free_link = s->links[link].next;
    else
        link = w->used_links++;
    if (s->heads[rank] == NONE)
        heap_push(w, rank);
    s->links[link] = (struct loom_bpe_link){place, s->heads[rank]};
    s->heads[rank] = link;
}

static int compare_places(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

/* Takes all places of a rank into scratch->run, from left to right; returns how many are still of that rank. */
static size_t take_places(struct word *w, uint32_t rank) {
    struct loom_bpe_scratch *s = w->scratch;
    size_t n = 0;
    bool sorted = true;
    for (uint32_t link = s->heads[rank], next; link != NONE; link = next) {
        uint32_t place = s->links[link].place;
        next = s->links[link].next;
        s->links[link].next = w->free_link;
        w->free_link = link;
        if (s->parts[place].rank != rank)
            continue;
        s->run[n++] = place;
        sorted = sorted && (n < 2 || s->run[n - 2] > place);
    }
    s->heads[rank] = NONE;
    /* Lists grow at their front, so that their order is from right to left. */
    for (size_t i = 0; sorted && i < n / 2; i++) {
        uint32_t place = s->run[i];
        s->run[i] = s->run[n - 1 - i];
        s->run[n - 1 - i] = place;
    }
    if (!sorted)
        qsort(s->run, n, sizeof *s->run, compare_places);
    return n;
}

/* ---- merging ----------------------------------------------------------------------------------------------------- */

/* Finds what the part at `place` and the next would make, and lists it; returns the rank. */
static uint32_t look_up(struct word *w, uint32_t place) {
    struct loom_bpe_part *parts = w->scratch->parts, *part = &parts[place];
    const struct loom_merge *merge =
        part->next < w->size ? loom_bpe_find(w->bpe, part->id, parts[part->next].id) : NULL;
    part->rank = merge ? merge->rank : NONE;
    if (merge)
        list_place(w, place, merge->rank);
    return part->rank;
}

/* Merges the part at `place` with the next; returns the least rank that this has made. */
static uint32_t merge_at(struct word *w, uint32_t place) {
    struct loom_bpe_part *parts = w->scratch->parts, *part = &parts[place];
    part->id = loom_bpe_find(w->bpe, part->id, parts[part->next].id)->id;
    parts[part->next].rank = NONE;
    part->next = parts[part->next].next;
    if (part->next < w->size)
        parts[part->next].previous = place;
    uint32_t right = look_up(w, place), left = part->previous != NONE ? look_up(w, part->previous) : NONE;
    return right < left ? right : left;
}

/* Merges the pairs of one rank; what is left when a lesser one appears is listed again. A place can be listed twice
 * under its rank, so it is asked again here. */
static void merge_rank(struct word *w, uint32_t rank) {
    struct loom_bpe_scratch *s = w->scratch;
    size_t n = take_places(w, rank), i = 0;
    for (bool first = true; i < n && first; i++)
        if (s->parts[s->run[i]].rank == rank)
            first = merge_at(w, s->run[i]) > rank;
    for (; i < n; i++)
        if (s->parts[s->run[i]].rank == rank)
            list_place(w, s->run[i], rank);
}

loom_status loom_bpe_encode_long(const struct loom_bpe *bpe, struct loom_bpe_scratch *scratch, const char *word,
                                 size_t size, int *ids, size_t *count, struct loom_error *error) {
    struct word w = {bpe, scratch, (uint32_t)size, NONE, 0, 0};
    if (size >= NONE / 2)
        return loom_fail(error, LOOM_FAILED, "a word of %zu bytes is too long: at most %u are supported", size,
                         NONE / 2);
    loom_status status = reserve(bpe, scratch, size, error);
    if (status != LOOM_OK)
        return status;
    for (uint32_t i = 0; i < w.size; i++)
        scratch->parts[i] = (struct loom_bpe_part){(uint32_t)bpe->bytes[(unsigned char)word[i]], NONE, i - 1, i + 1};
    for (uint32_t i = 0; i < w.size; i++)
        look_up(&w, i);
    while (w.n_heap > 0)
        merge_rank(&w, heap_pop(&w));
    *count = 0;
    for (uint32_t i = 0; i < w.size; i = scratch->parts[i].next)
        ids[(*count)++] = (int)scratch->parts[i].id;
    if (size > KEPT)
        loom_bpe_scratch_free(scratch);
    return LOOM_OK;
}
