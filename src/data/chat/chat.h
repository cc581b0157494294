/* chat.h - conversations: the rows of a file, and the one template that makes a text of them.
 *
 * Each message is "<|ROLE|>\n", its content, "<|end|>\n"; an answer is asked for by "<|assistant|>\n". A tokenizer that
 * has these marks as special tokens gets one token for each; to any other they are plain text, so that every tokenizer
 * can chat. Content that holds a mark is refused: nobody can speak in another's name. */
#ifndef LOOM_DATA_CHAT_H
#define LOOM_DATA_CHAT_H

#include "base/json.h"
#include "base/text.h"

#define LOOM_CHAT_FILE "tokenizer_config.json"
#define LOOM_CHAT_END "<|end|>"

enum loom_role { LOOM_ROLE_SYSTEM, LOOM_ROLE_USER, LOOM_ROLE_ASSISTANT, LOOM_ROLES };

struct loom_message {
    enum loom_role role;
    const char *content; /* borrowed */
};

/* Bytes of a rendered text that the model is to learn: an answer and its end mark. */
struct loom_span {
    size_t begin, end;
};

struct loom_conversation {
    struct loom_message *messages;
    size_t count, capacity;
};

void loom_conversation_free(struct loom_conversation *conversation);

/* Appends a message; false when memory is short. */
bool loom_conversation_add(struct loom_conversation *conversation, enum loom_role role, const char *content);

/* Appends the text of a conversation; with `ask`, what asks for the next answer too. When `spans` is not NULL it gets
 * the place of each answer, *n_spans of them, and must hold as many as there are messages. LOOM_INVALID when a content
 * holds a mark; `name` is for the sentence. */
loom_status loom_chat_render(const struct loom_conversation *conversation, bool ask, const char *name,
                             struct loom_text *text, struct loom_span *spans, size_t *n_spans,
                             struct loom_error *error);

/* The marks by index, NULL beyond the last. */
const char *loom_chat_mark(size_t index);

/* tokenizer_config.json: the template as a Jinja string, which renders alike, and the end mark. A new object; NULL when
 * memory is short. */
json_t *loom_chat_config(int context);

/* Calls on_conversation for each conversation of a row: of "messages" (role, content); of "prompt" and "completion";
 * of "question" and "answer"; of "instruction", perhaps "input", and "output"; or of "instruction" and "instances"
 * (input, output). Strings live as long as the row. LOOM_INVALID for a row that is none of these, an unknown role, and
 * a conversation without an answer. */
typedef loom_status (*loom_conversation_function)(void *user, const struct loom_conversation *conversation,
                                                  const char *name, struct loom_error *error);
loom_status loom_chat_row(const json_t *row, const char *name, loom_conversation_function on_conversation, void *user,
                          struct loom_error *error);

#endif
