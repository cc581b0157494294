/* drill_maze.c - the maze drill. See drill.h.
 *
 * A maze of 7 x 7 cells is cut by a random walk that backs up where it is stuck, which leaves exactly one way between
 * any two cells. It is drawn as 49 letters: which of the two walls, to the right and below, a cell has. Then come the
 * two cells, and the answer is the first move from one to the other. */
#include "data/task/drill.h"

enum { SIDE = 7, CELLS = SIDE * SIDE, MOVES = 4 };

static const char move_letters[MOVES + 1] = "rdlu";

struct maze {
    bool open[CELLS][MOVES];
};

/* The cell that a move from `cell` leads to; -1 outside. */
static int step(int cell, int move) {
    static const int across[MOVES] = {1, 0, -1, 0}, down[MOVES] = {0, 1, 0, -1};
    int x = cell % SIDE + across[move], y = cell / SIDE + down[move];
    return x >= 0 && x < SIDE && y >= 0 && y < SIDE ? y * SIDE + x : -1;
}

static void carve(struct loom_dice *dice, struct maze *maze) {
    bool seen[CELLS] = {false};
    int path[CELLS], length = 1;
    *maze = (struct maze){{{false}}};
    path[0] = (int)loom_dice_below(dice, CELLS);
    seen[path[0]] = true;
    while (length > 0) {
        int at = path[length - 1], order[MOVES], next = -1;
        loom_dice_permute(dice, order, MOVES);
        for (int i = 0; i < MOVES && next < 0; i++) {
            int to = step(at, order[i]);
            if (to < 0 || seen[to])
                continue;
            maze->open[at][order[i]] = maze->open[to][(order[i] + 2) % MOVES] = true;
            seen[next = to] = true;
        }
        if (next >= 0)
            path[length++] = next;
        else
            length--;
    }
}

/* Moves from each cell to `goal`, and the first of them. */
static void measure(const struct maze *maze, int goal, int *moves, int *first) {
    int queue[CELLS], head = 0, tail = 0;
    for (int i = 0; i < CELLS; i++)
        moves[i] = -1;
    moves[goal] = 0;
    queue[tail++] = goal;
    while (head < tail) {
        int at = queue[head++];
        for (int move = 0; move < MOVES; move++) {
            int to = step(at, move);
            if (!maze->open[at][move] || moves[to] >= 0)
                continue;
            moves[to] = moves[at] + 1;
            first[to] = (move + 2) % MOVES;
            queue[tail++] = to;
        }
    }
}

/* A cell so many moves from the goal; the farthest when none is so far. */
static int choose_start(struct loom_dice *dice, const int *moves, int steps) {
    int found[CELLS], count = 0, farthest = 0;
    for (int i = 0; i < CELLS; i++) {
        farthest = moves[i] > moves[farthest] ? i : farthest;
        if (moves[i] == steps)
            found[count++] = i;
    }
    return count > 0 ? found[loom_dice_below(dice, (uint64_t)count)] : farthest;
}

void loom_drill_maze(struct loom_dice *dice, int steps, struct loom_text *text) {
    enum { TRIES = 100 };
    struct maze maze;
    int moves[CELLS], first[CELLS] = {0}, start = 0, goal = 0;
    for (int tries = 0; tries == 0 || (tries < TRIES && moves[start] != steps); tries++) {
        carve(dice, &maze);
        goal = (int)loom_dice_below(dice, CELLS);
        measure(&maze, goal, moves, first);
        start = choose_start(dice, moves, steps);
    }
    for (int i = 0; i < CELLS; i++)
        loom_text_append(text, "%c", i == start ? '+' : i == goal ? '*' : '.');
    for (int i = 0; i < CELLS; i++)
        loom_text_append(text, "%c", 'a' + 2 * maze.open[i][1] + maze.open[i][0]);
    loom_text_append(text, "=%c", move_letters[first[start]]);
}
