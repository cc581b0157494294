/* drill_chains.c - drills that go from one thing to the next: pointers, hops, words of permutations, sums. See drill.h.
 */
#include <string.h>

#include "data/task/drill.h"

enum { NODES = 16, QUERIES = 8, HOP_LETTERS = 4, HOP_LENGTH = 96, THINGS = 5, WORD_LETTERS = 8 };

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

/* One hop from place `at`: behind the last place before it with the same letter; -1 when there is none. */
static int hop(const int *letters, int at) {
    for (int i = at - 1; i >= 0; i--)
        if (letters[i] == letters[at])
            return i + 1;
    return -1;
}

/* Texts in which the way ends too early are drawn again; after many the way is cut short where it ends. */
void loom_drill_phop(struct loom_dice *dice, int steps, struct loom_text *text) {
    enum { TRIES = 1000 };
    int letters[HOP_LENGTH], at = -1;
    for (int tries = 0; tries < TRIES && at < 0; tries++) {
        letters[0] = (int)loom_dice_below(dice, HOP_LETTERS);
        for (int i = 1; i < HOP_LENGTH; i++) /* never twice the same: a hop would stay where it is */
            letters[i] = (letters[i - 1] + 1 + (int)loom_dice_below(dice, HOP_LETTERS - 1)) % HOP_LETTERS;
        at = HOP_LENGTH - 1;
        for (int i = 0; i < steps && at >= 0; i++)
            at = hop(letters, at);
    }
    for (int i = 0; i < HOP_LENGTH; i++)
        loom_text_append(text, "%c", letter(letters[i]));
    loom_text_append(text, "=%c", at >= 0 ? letter(letters[at]) : '-');
}

/* The eight letters of the words: transpositions, cycles of three, four and five; together they generate S5. */
static const char generators[WORD_LETTERS][THINGS + 1] = {"21345", "13245", "12435", "12354",
                                                          "23145", "12453", "23451", "51234"};

/* Each letter permutes the row of things that the letters before it left. */
void loom_drill_s5(struct loom_dice *dice, int steps, struct loom_text *text) {
    char row[THINGS + 1] = "12345", before[THINGS + 1];
    for (int i = 0; i < steps; i++) {
        int choice = (int)loom_dice_below(dice, WORD_LETTERS);
        loom_text_append(text, "%c", letter(choice));
        memcpy(before, row, sizeof row);
        for (int j = 0; j < THINGS; j++)
            row[j] = before[generators[choice][j] - '1'];
    }
    loom_text_append(text, "=%s", row);
}

void loom_drill_modular(struct loom_dice *dice, int steps, struct loom_text *text) {
    int value = (int)loom_dice_below(dice, 10);
    loom_text_append(text, "%d", value);
    for (int i = 0; i < steps; i++) {
        int operand = (int)loom_dice_below(dice, 10);
        char sign = "+-*"[loom_dice_below(dice, 3)];
        loom_text_append(text, "%c%d", sign, operand);
        value = sign == '+' ? value + operand : sign == '-' ? value + 10 - operand : value * operand;
        value %= 10;
    }
    loom_text_append(text, "=%d", value);
}

void loom_drill_addition(struct loom_dice *dice, int steps, struct loom_text *text) {
    int digits[2][LOOM_DRILL_STEPS_MAX], carry = 0;
    for (int row = 0; row < 2; row++) {
        for (int i = 0; i < steps; i++) {
            digits[row][i] = (int)loom_dice_below(dice, 10);
            loom_text_append(text, "%d", digits[row][i]);
        }
        loom_text_append(text, row == 0 ? "+" : "=");
    }
    for (int i = 0; i < steps; i++) {
        int sum = digits[0][i] + digits[1][i] + carry;
        loom_text_append(text, "%d", sum % 10);
        carry = sum / 10;
    }
    loom_text_append(text, "%d", carry);
}
