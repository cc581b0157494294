/* drill_chains.c - drills that go from one thing to the next: pointers, hops, words of permutations, sums. See drill.h.
 */
#include <string.h>

#include "data/task/drill.h"

enum { NODES = 16, QUERIES = 8, HOP_LETTERS = 4, HOP_LENGTH = 24, HOP_EACH = 4, THINGS = 5, WORD_LETTERS = 8 };

static char letter(int node) {
    return (char)('a' + node);
}

void loom_drill_pointer(struct loom_dice *dice, int steps, struct loom_text *text) {
    int next[NODES], order[NODES];
    loom_dice_permute(dice, next, NODES);
    loom_dice_permute(dice, order, NODES);
    for (int i = 0; i < NODES; i++)
        loom_text_append(text, "%c%c ", letter(order[i]), letter(next[order[i]]));
    for (int i = 0; i < QUERIES; i++) {
        int node = (int)loom_dice_below(dice, NODES), begin = node;
        for (int step = 0; step < steps; step++)
            node = next[node];
        loom_text_append(text, "%s%c=%c", i > 0 ? " " : "", letter(begin), letter(node));
    }
}

/* The end of the way of so many hops that begins with a letter `wanted` behind the text: each goes behind the last
 * place before it with the same letter. -1 when it leads out of the text. */
static int hop(const int *letters, int length, int wanted, int steps) {
    int at = length;
    for (; steps > 0; steps--, wanted = letters[at]) {
        do
            at--;
        while (at >= 0 && letters[at] != wanted);
        if (at < 0)
            return -1;
        at++;
    }
    return at;
}

/* A text in which all ways are long enough; after many tries what there is, with ways that are cut short. */
static void draw_hops(struct loom_dice *dice, int steps, int *letters, int length, int ends[HOP_LETTERS]) {
    enum { TRIES = 1000 };
    bool whole = false;
    for (int tries = 0; tries < TRIES && !whole; tries++) {
        letters[0] = (int)loom_dice_below(dice, HOP_LETTERS);
        for (int i = 1; i < length; i++) /* never twice the same: a hop would stay where it is */
            letters[i] = (letters[i - 1] + 1 + (int)loom_dice_below(dice, HOP_LETTERS - 1)) % HOP_LETTERS;
        whole = true;
        for (int i = 0; i < HOP_LETTERS; i++) {
            ends[i] = i == letters[length - 1] ? length - 1 : hop(letters, length, i, steps);
            whole = whole && ends[i] >= 0;
        }
    }
}

/* Asked from each letter but the last, as if it stood behind the text. A hop goes about three places back. */
void loom_drill_phop(struct loom_dice *dice, int steps, struct loom_text *text) {
    int letters[HOP_LENGTH + HOP_EACH * LOOM_DRILL_STEPS_MAX], length = HOP_LENGTH + HOP_EACH * steps;
    int ends[HOP_LETTERS], order[HOP_LETTERS];
    draw_hops(dice, steps, letters, length, ends);
    loom_dice_permute(dice, order, HOP_LETTERS);
    for (int i = 0; i < length; i++)
        loom_text_append(text, "%c", letter(letters[i]));
    for (int i = 0; i < HOP_LETTERS; i++) {
        int from = order[i], end = ends[from];
        if (from != letters[length - 1])
            loom_text_append(text, " %c=%c", letter(from), end < 0 ? '-' : letter(letters[end]));
    }
}

/* The eight letters of the words: transpositions, cycles of three, four and five; together they generate S5. Place j
 * takes what stood at place generators[letter][j]. */
static const char generators[WORD_LETTERS][THINGS + 1] = {"21345", "13245", "12435", "12354",
                                                          "23145", "12453", "23451", "51234"};

/* Each letter permutes the row of things; asked is where one of them has come to. */
void loom_drill_s5(struct loom_dice *dice, int steps, struct loom_text *text) {
    char place = (char)('1' + loom_dice_below(dice, THINGS));
    loom_text_append(text, "%c ", place);
    for (int i = 0; i < steps; i++) {
        int choice = (int)loom_dice_below(dice, WORD_LETTERS);
        place = (char)('1' + (strchr(generators[choice], place) - generators[choice]));
        loom_text_append(text, " %c=%c", letter(choice), place);
    }
}

void loom_drill_modular(struct loom_dice *dice, int steps, struct loom_text *text) {
    int value = (int)loom_dice_below(dice, 10);
    loom_text_append(text, "%d ", value);
    for (int i = 0; i < steps; i++) {
        int operand = (int)loom_dice_below(dice, 10);
        char sign = "+-*"[loom_dice_below(dice, 3)];
        value = sign == '+' ? value + operand : sign == '-' ? value + 10 - operand : value * operand;
        value %= 10;
        loom_text_append(text, " %c%d=%d", sign, operand, value);
    }
}

/* Column by column, the lowest first. */
void loom_drill_addition(struct loom_dice *dice, int steps, struct loom_text *text) {
    int carry = 0;
    loom_text_append(text, " ");
    for (int i = 0; i < steps; i++) {
        int a = (int)loom_dice_below(dice, 10), b = (int)loom_dice_below(dice, 10), sum = a + b + carry;
        loom_text_append(text, " %d%d=%d", a, b, sum % 10);
        carry = sum / 10;
    }
    loom_text_append(text, " 00=%d", carry);
}
