/* task_page.c - loom_task_page: the figures of a task as one HTML page. */
#include <string.h>

#include "base/file.h"
#include "eval/html.h"

static void put_figure(struct loom_text *html, const struct loom_task_figure *f) {
    loom_text_append(html, "<tr><td>");
    loom_html_text(html, f->group[0] ? f->group : "all");
    loom_text_append(html, "</td><td>");
    loom_html_text(html, f->metric);
    if (f->loops > 0)
        loom_text_append(html, "</td><td>%d</td>", f->loops);
    else
        loom_text_append(html, "</td><td>%s</td>", f->loops == LOOM_LOOPS_CHOSEN ? "chosen" : "recorded");
    loom_text_append(html, "<td>%.2f %%</td><td>%.2f to %.2f %%</td><td>%zu</td></tr>\n", 100 * f->value, 100 * f->low,
                     100 * f->high, f->problems);
}

loom_status loom_task_page(const char *path, const char *task, const char *subject,
                           const struct loom_task_figure *figures, size_t count, struct loom_error *error) {
    struct loom_text html = {0}, title = {0};
    loom_text_append(&title, "Task %s", task);
    loom_html_open(&html, title.data ? title.data : task);
    loom_text_append(&html, "<p class=\"sub\">");
    loom_html_text(&html, subject);
    loom_text_append(&html, "</p>\n<div class=\"table\"><table><thead><tr><th>problems</th><th>metric</th>"
                            "<th>loops</th><th>right</th><th>95 %% interval</th><th>number</th></tr></thead>\n<tbody>");
    for (size_t i = 0; i < count; i++)
        put_figure(&html, &figures[i]);
    loom_text_append(&html, "</tbody></table></div>\n");
    loom_html_close(&html);
    loom_status status = html.failed || title.failed ? loom_fail_memory(error, path, html.size)
                                                     : loom_file_replace(path, html.data, html.size, error);
    loom_text_free(&html);
    loom_text_free(&title);
    return status;
}
