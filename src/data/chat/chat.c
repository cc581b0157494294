/* chat.c - see chat.h. */
#include "data/chat/chat.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"

static const char *const role_names[LOOM_ROLES] = {"system", "user", "assistant"};
static const char *const marks[] = {"<|system|>", "<|user|>", "<|assistant|>", LOOM_CHAT_END, NULL};

/* Renders as loom_chat_render does. */
static const char jinja[] = "{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' + message['content'] + "
                            "'<|end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}"
                            "{% endif %}";

const char *loom_chat_mark(size_t index) {
    return index < sizeof marks / sizeof marks[0] ? marks[index] : NULL;
}

json_t *loom_chat_config(int context) {
    return json_pack("{s:s,s:s,s:s,s:i,s:b}", "tokenizer_class", "PreTrainedTokenizerFast", "chat_template", jinja,
                     "chat_end", LOOM_CHAT_END, "model_max_length", context, "clean_up_tokenization_spaces", 0);
}

/* ---- conversations ----------------------------------------------------------------------------------------------- */

void loom_conversation_free(struct loom_conversation *conversation) {
    free(conversation->messages);
    *conversation = (struct loom_conversation){0};
}

bool loom_conversation_add(struct loom_conversation *conversation, enum loom_role role, const char *content) {
    struct loom_conversation *c = conversation;
    struct loom_message *messages = loom_grow(c->messages, &c->capacity, c->count + 1, sizeof *messages);
    if (!messages)
        return false;
    c->messages = messages;
    c->messages[c->count++] = (struct loom_message){role, content};
    return true;
}

static loom_status check_content(const char *content, const char *name, struct loom_error *error) {
    for (size_t i = 0; marks[i]; i++)
        if (strstr(content, marks[i]))
            return loom_fail(error, LOOM_INVALID, "%s: the content holds the template's mark %s", name, marks[i]);
    return LOOM_OK;
}

loom_status loom_chat_render(const struct loom_conversation *conversation, bool ask, const char *name,
                             struct loom_text *text, struct loom_span *spans, size_t *n_spans,
                             struct loom_error *error) {
    size_t count = 0;
    for (size_t i = 0; i < conversation->count; i++) {
        const struct loom_message *m = &conversation->messages[i];
        loom_status status = check_content(m->content, name, error);
        if (status)
            return status;
        loom_text_append(text, "%s\n", marks[m->role]);
        size_t begin = text->size;
        loom_text_put(text, m->content, strlen(m->content));
        loom_text_put(text, LOOM_CHAT_END, strlen(LOOM_CHAT_END));
        if (spans && m->role == LOOM_ROLE_ASSISTANT)
            spans[count++] = (struct loom_span){begin, text->size};
        loom_text_put(text, "\n", 1);
    }
    if (ask)
        loom_text_append(text, "%s\n", marks[LOOM_ROLE_ASSISTANT]);
    if (n_spans)
        *n_spans = count;
    return text->failed ? loom_fail_memory(error, name, text->size) : LOOM_OK;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static loom_status add(struct loom_conversation *c, enum loom_role role, const char *content, const char *name,
                       struct loom_error *error) {
    return loom_conversation_add(c, role, content) ? LOOM_OK : loom_fail_memory(error, name, sizeof *c->messages);
}

static loom_status find_role(const char *text, enum loom_role *role, const char *name, struct loom_error *error) {
    for (int r = 0; r < LOOM_ROLES; r++)
        if (strcmp(text, role_names[r]) == 0) {
            *role = (enum loom_role)r;
            return LOOM_OK;
        }
    return loom_fail(error, LOOM_INVALID, "%s: the role \"%.64s\" is none of system, user and assistant", name, text);
}

static loom_status add_messages(struct loom_conversation *c, const json_t *messages, const char *name,
                                struct loom_error *error) {
    if (!json_is_array(messages) || json_array_size(messages) == 0)
        return loom_fail(error, LOOM_INVALID, "%s: key \"messages\" must be an array of messages", name);
    bool answered = false;
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const char *role_name, *content;
        enum loom_role role = LOOM_ROLE_USER;
        loom_status status = loom_json_string(json_array_get(messages, i), "role", name, &role_name, error);
        if (status == LOOM_OK)
            status = loom_json_string(json_array_get(messages, i), "content", name, &content, error);
        if (status == LOOM_OK)
            status = find_role(role_name, &role, name, error);
        if (status == LOOM_OK && role == LOOM_ROLE_SYSTEM && i > 0)
            status = loom_fail(error, LOOM_INVALID, "%s: message %zu is the system's, which comes first or not at all",
                               name, i + 1);
        if (status == LOOM_OK)
            status = add(c, role, content, name, error);
        if (status)
            return status;
        answered = answered || role == LOOM_ROLE_ASSISTANT;
    }
    return answered ? LOOM_OK : loom_fail(error, LOOM_INVALID, "%s: no message is the assistant's", name);
}

/* One question, perhaps with an input behind it, and one answer. */
static loom_status give_pair(const char *question, const char *input, const char *answer, const char *name,
                             loom_conversation_function on_conversation, void *user, struct loom_error *error) {
    struct loom_conversation c = {0};
    struct loom_text text = {0};
    loom_text_put(&text, question, strlen(question));
    if (input[0])
        loom_text_append(&text, "\n\n%s", input);
    loom_status status = text.failed ? loom_fail_memory(error, name, strlen(question)) : LOOM_OK;
    if (status == LOOM_OK)
        status = add(&c, LOOM_ROLE_USER, text.data, name, error);
    if (status == LOOM_OK)
        status = add(&c, LOOM_ROLE_ASSISTANT, answer, name, error);
    if (status == LOOM_OK)
        status = on_conversation(user, &c, name, error);
    loom_conversation_free(&c);
    loom_text_free(&text);
    return status;
}

/* The strings under two keys of a row, and under "input" where it has one. */
static loom_status give_keys(const json_t *row, const char *question, const json_t *instance, const char *answer_key,
                             const char *name, loom_conversation_function on_conversation, void *user,
                             struct loom_error *error) {
    const char *answer, *input = "", *asked;
    const json_t *input_of = json_object_get(instance, "input");
    loom_status status = loom_json_string(row, question, name, &asked, error);
    if (status == LOOM_OK)
        status = loom_json_string(instance, answer_key, name, &answer, error);
    if (status == LOOM_OK && input_of && !json_is_null(input_of))
        status = loom_json_string(instance, "input", name, &input, error);
    return status ? status : give_pair(asked, input, answer, name, on_conversation, user, error);
}

static loom_status give_instances(const json_t *row, const char *name, loom_conversation_function on_conversation,
                                  void *user, struct loom_error *error) {
    const json_t *instances = json_object_get(row, "instances");
    if (!json_is_array(instances) || json_array_size(instances) == 0)
        return loom_fail(error, LOOM_INVALID, "%s: key \"instances\" must be an array of inputs and outputs", name);
    loom_status status = LOOM_OK;
    for (size_t i = 0; i < json_array_size(instances) && status == LOOM_OK; i++)
        status =
            give_keys(row, "instruction", json_array_get(instances, i), "output", name, on_conversation, user, error);
    return status;
}

loom_status loom_chat_row(const json_t *row, const char *name, loom_conversation_function on_conversation, void *user,
                          struct loom_error *error) {
    static const char *const pairs[][2] = {{"prompt", "completion"}, {"question", "answer"}, {"instruction", "output"}};
    const json_t *messages = json_object_get(row, "messages");
    if (messages) {
        struct loom_conversation c = {0};
        loom_status status = add_messages(&c, messages, name, error);
        if (status == LOOM_OK)
            status = on_conversation(user, &c, name, error);
        loom_conversation_free(&c);
        return status;
    }
    if (json_object_get(row, "instances"))
        return give_instances(row, name, on_conversation, user, error);
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (json_object_get(row, pairs[i][0]))
            return give_keys(row, pairs[i][0], row, pairs[i][1], name, on_conversation, user, error);
    return loom_fail(error, LOOM_INVALID,
                     "%s: neither \"messages\" nor \"prompt\", \"question\" or \"instruction\" is there", name);
}
