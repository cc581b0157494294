/* html.h - the parts of a report's page: its frame and style, cards, and tables of settings.
 *
 * The page loads nothing: style and drawings are inline, there is no script, and a Content-Security-Policy says so to
 * the browser. All text from files goes through loom_html_text. */
#ifndef LOOM_EVAL_HTML_H
#define LOOM_EVAL_HTML_H

#include "base/json.h"
#include "base/text.h"

void loom_html_open(struct loom_text *html, const char *title);
void loom_html_close(struct loom_text *html);

/* Escaped text; NULL is nothing. */
void loom_html_text(struct loom_text *html, const char *text);

/* <h2> with the text. */
void loom_html_heading(struct loom_text *html, const char *text);

/* A card: a large value over its label. `value` and `under` hold HTML, and are emptied for the next card. */
void loom_html_card(struct loom_text *html, const char *label, struct loom_text *value, struct loom_text *under);

/* A two-column table of an object's keys and values, objects inside it left out; nothing for what is no object or is
 * empty. */
void loom_html_settings(struct loom_text *html, const char *caption, const json_t *object);

/* A JSON value as a person reads it: a string without quotes, a number in at most 10 digits; NULL is "unknown". */
void loom_html_value(struct loom_text *html, const json_t *value);

#endif
