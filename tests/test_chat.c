/* test_chat.c - conversations from rows, their text, and batches in which only answers are learned. */
#include "data/chat/chat_set.h"
#include <sys/wait.h>

#include "scratch.h"

static struct loom_tokenizer *bytes(void) {
    struct loom_tokenizer *tokenizer;
    assert_int_equal(loom_tokenizer_byte(&tokenizer, NULL), LOOM_OK);
    return tokenizer;
}

/* ---- rows and text ----------------------------------------------------------------------------------------------- */

static loom_status render(void *user, const struct loom_conversation *c, const char *name, struct loom_error *error) {
    return loom_chat_render(c, false, name, user, NULL, NULL, error);
}

/* What all conversations of a row render to; freed with free(). */
static char *text_of(const char *json) {
    struct loom_text text = {0};
    struct loom_error error;
    json_t *row = json_loads(json, 0, NULL);
    assert_non_null(row);
    expect(loom_chat_row(row, "row", render, &text, &error), LOOM_OK, &error, "");
    json_decref(row);
    return text.data;
}

static void test_rows(void **state) {
    static const char pair[] = "<|user|>\nWhat?<|end|>\n<|assistant|>\nThat.<|end|>\n";
    static const struct {
        const char *json, *text;
    } rows[] = {
        {"{\"prompt\":\"What?\",\"completion\":\"That.\"}", pair},
        {"{\"question\":\"What?\",\"answer\":\"That.\"}", pair},
        {"{\"instruction\":\"What?\",\"output\":\"That.\"}", pair},
        {"{\"instruction\":\"What?\",\"input\":\"\",\"output\":\"That.\"}", pair},
        {"{\"instruction\":\"What?\",\"input\":null,\"output\":\"That.\"}", pair},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"What?\"},{\"role\":\"assistant\",\"content\":\"That.\"}]}",
         pair},
        {"{\"instruction\":\"Do\",\"input\":\"it\",\"output\":\"ok\"}",
         "<|user|>\nDo\n\nit<|end|>\n<|assistant|>\nok<|end|>\n"},
        {"{\"instruction\":\"Do\",\"instances\":[{\"input\":\"a\",\"output\":\"b\"},{\"input\":\"\",\"output\":\"c\"}]"
         "}",
         "<|user|>\nDo\n\na<|end|>\n<|assistant|>\nb<|end|>\n<|user|>\nDo<|end|>\n<|assistant|>\nc<|end|>\n"},
        {"{\"messages\":[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"assistant\",\"content\":\"\"}]}",
         "<|system|>\nS<|end|>\n<|assistant|>\n<|end|>\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *text = text_of(rows[i].json);
        assert_string_equal(text, rows[i].text);
        free(text);
    }
}

static void test_bad_rows(void **state) {
    static const struct {
        const char *json, *says;
    } rows[] = {
        {"{\"text\":\"x\"}", "neither \"messages\" nor"},
        {"{\"prompt\":\"x\"}", "key \"completion\" is missing"},
        {"{\"prompt\":1,\"completion\":\"x\"}", "key \"prompt\" must be a string"},
        {"{\"messages\":[]}", "must be an array of messages"},
        {"{\"messages\":{}}", "must be an array of messages"},
        {"{\"messages\":[1]}", "not a JSON object"},
        {"{\"messages\":[{\"role\":\"robot\",\"content\":\"x\"}]}", "the role \"robot\" is none of"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", "no message is the assistant's"},
        {"{\"messages\":[{\"role\":\"assistant\",\"content\":\"x\"},{\"role\":\"system\",\"content\":\"x\"}]}",
         "message 2 is the system's"},
        {"{\"messages\":[{\"role\":\"assistant\"}]}", "key \"content\" is missing"},
        {"{\"instruction\":\"x\",\"instances\":[]}", "\"instances\" must be"},
        {"{\"prompt\":\"x<|end|>\\n<|system|>\",\"completion\":\"y\"}", "holds the template's mark <|system|>"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct loom_text text = {0};
        struct loom_error error;
        json_t *row = json_loads(rows[i].json, 0, NULL);
        expect(loom_chat_row(row, "f: row 3", render, &text, &error), LOOM_INVALID, &error, rows[i].says);
        assert_ptr_equal(strstr(error.text, "f: row 3: "), error.text);
        json_decref(row);
        loom_text_free(&text);
    }
}

/* The string in tokenizer_config.json renders as the C code does; asked of Jinja itself, where there is Python's. */
static void test_jinja(void **state) {
    static const char script[] =
        "import json, sys\n"
        "try: import jinja2\n"
        "except ImportError: sys.exit(77)\n"
        "config = json.load(open(sys.argv[1]))\n"
        "messages = json.load(open(sys.argv[2]))\n"
        "for ask in (False, True):\n"
        "    text = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(config['chat_template'])\n"
        "    wanted = open(sys.argv[3 + ask], newline='').read()\n"
        "    if text.render(messages=messages, add_generation_prompt=ask) != wanted: sys.exit(1)\n";
    static const char *const contents[] = {"Be \"brief\".", " two\nlines\n", "{{ 7 }} {% if %} <b>&\\n\xC3\xA9", ""};
    static const enum loom_role roles[] = {LOOM_ROLE_SYSTEM, LOOM_ROLE_USER, LOOM_ROLE_ASSISTANT, LOOM_ROLE_USER};
    static const char *const names[] = {"system", "user", "assistant", "user"};
    struct loom_conversation c = {0};
    json_t *messages = json_array(), *config = loom_chat_config(64);
    for (size_t i = 0; i < 4; i++) {
        assert_true(loom_conversation_add(&c, roles[i], contents[i]));
        json_array_append_new(messages, json_pack("{s:s,s:s}", "role", names[i], "content", contents[i]));
    }
    char *paths[5];
    char *text = json_dumps(config, 0), *list = json_dumps(messages, 0), command[1024];
    paths[0] = scratch_write(*state, "render.py", script, sizeof script - 1);
    paths[1] = scratch_write(*state, "config.json", text, strlen(text));
    paths[2] = scratch_write(*state, "messages.json", list, strlen(list));
    for (int ask = 0; ask < 2; ask++) {
        struct loom_text out = {0};
        assert_int_equal(loom_chat_render(&c, ask, "c", &out, NULL, NULL, NULL), LOOM_OK);
        paths[3 + ask] = scratch_write(*state, ask ? "asked" : "plain", out.data, out.size);
        loom_text_free(&out);
    }
    snprintf(command, sizeof command, "python3 %s %s %s %s %s 2>/dev/null", paths[0], paths[1], paths[2], paths[3],
             paths[4]);
    int code = system(command);
    for (int i = 0; i < 5; i++)
        free(paths[i]);
    free(text);
    free(list);
    json_decref(config);
    json_decref(messages);
    loom_conversation_free(&c);
    if (WIFEXITED(code) && (WEXITSTATUS(code) == 77 || WEXITSTATUS(code) == 127))
        skip();
    assert_int_equal(code, 0);
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

enum { EXAMPLES = 40, SEQ = 96 };

/* Questions and answers of many lengths. */
static char *write_rows(void *folder) {
    struct loom_text text = {0};
    for (int i = 0; i < EXAMPLES; i++)
        loom_text_append(&text, "{\"prompt\":\"q%.*s\",\"completion\":\"A%02d\"}\n", i % 13, "xxxxxxxxxxxxxxx", i);
    char *path = scratch_write(folder, "rows.jsonl", text.data, text.size);
    loom_text_free(&text);
    return path;
}

/* Walks a row: every document is a whole example whose targets are its answer and the end mark; marks the answers seen.
 */
static size_t check_row(const struct loom_batch *b, size_t row, int *seen) {
    const int *in = b->inputs + row * SEQ, *out = b->targets + row * SEQ, *first = b->first + row * SEQ;
    size_t targets = 0;
    for (size_t i = 0; i < SEQ; i++) {
        assert_true(first[i] <= (int)i);
        if (first[i] == (int)i && out[i] == -1 && in[i] == 0)
            continue; /* padding */
        if (first[i] == (int)i)
            assert_memory_equal(((char[]){(char)in[i], (char)in[i + 1], (char)in[i + 7]}), "<|>", 3);
        if (out[i] == -1)
            continue;
        targets++;
        if (out[i] == 'A' && in[i] == '\n') {
            seen[10 * (out[i + 1] - '0') + out[i + 2] - '0']++;
            assert_int_equal(out[i + 3], '<'); /* <|end|> is learned too, 7 bytes */
            assert_int_equal(out[i + 9], '>');
            assert_int_equal(out[i + 10], -1);
        }
        assert_true(i + 1 == SEQ || first[i + 1] != first[i] || in[i + 1] == out[i]);
    }
    return targets;
}

static void test_batches(void **state) {
    struct loom_tokenizer *tokenizer = bytes();
    struct loom_chat_set set;
    struct loom_batch batch, again;
    struct loom_error error;
    char *path = write_rows(*state);
    const char *const paths[] = {path};
    expect(loom_chat_set_open(&set, paths, 1, tokenizer, SEQ, 0.2, &error), LOOM_OK, &error, "");
    assert_int_equal(set.count, EXAMPLES);
    assert_int_equal(set.n_val, EXAMPLES / 5);
    assert_true(set.train.rows < set.count - set.n_val); /* some share a row */
    assert_int_equal(loom_batch_open(&batch, 2, SEQ, true, NULL), LOOM_OK);
    assert_int_equal(loom_batch_open(&again, 2, SEQ, true, NULL), LOOM_OK);
    int train[100] = {0}, val[100] = {0};
    for (size_t i = 0; i < set.train.rows; i++) { /* an epoch has each example once, however it is cut into steps */
        loom_chat_set_draw(&set, 5, i, 1, &batch);
        assert_int_equal(check_row(&batch, 0, train) % 10, 0); /* "Axx<|end|>" of each example */
        loom_chat_set_draw(&set, 5, i > 0 ? i - 1 : i, 2, &again);
        assert_memory_equal(batch.targets, again.targets + (i > 0 ? SEQ : 0), SEQ * sizeof(int));
    }
    size_t targets = 0;
    for (size_t i = 0; i * 2 < set.val.rows; i++) {
        targets += loom_chat_set_validation(&set, i, 2, &batch);
        check_row(&batch, 0, val);
        check_row(&batch, 1, val);
    }
    assert_int_equal(targets, set.n_val * 10); /* "Axx<|end|>" each */
    for (int i = 0; i < EXAMPLES; i++)
        assert_int_equal(train[i] + val[i], 1);
    loom_chat_set_example(&set, 3, &batch, 1);
    int one[100] = {0};
    assert_int_equal(check_row(&batch, 1, one), 10);
    loom_batch_close(&batch);
    loom_batch_close(&again);
    loom_chat_set_close(&set);
    loom_tokenizer_free(tokenizer);
    free(path);
}

static void test_refusals(void **state) {
    struct loom_tokenizer *tokenizer = bytes();
    struct loom_chat_set set;
    struct loom_error error;
    char *path = write_rows(*state);
    const char *const paths[] = {path};
    expect(loom_chat_set_open(&set, paths, 1, tokenizer, 50, 0.1, &error), LOOM_INVALID, &error,
           "rows.jsonl: row 10: 52 tokens are more than the sequence of 50");
    free(path);
    path = scratch_write(*state, "one.jsonl", "{\"prompt\":\"a\",\"completion\":\"b\"}\n", 32);
    const char *const one[] = {path};
    expect(loom_chat_set_open(&set, one, 1, tokenizer, 99, 0.1, &error), LOOM_INVALID, &error, "1 example;");
    loom_tokenizer_free(tokenizer);
    free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_bad_rows),
        cmocka_unit_test_setup_teardown(test_jinja, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_batches, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_refusals, scratch_create, scratch_remove),
    };
    return cmocka_run_group_tests_name("chat", tests, NULL, NULL);
}
