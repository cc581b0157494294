/* html.c - see html.h. */
#include "eval/html.h"

#include <stdlib.h>
#include <string.h>

/* Colours are variables, so that dark mode is one block. k0..k5 are the curves' colours, told apart by the colour-blind
 * too (after Okabe and Ito). Printing keeps the light ones and opens what is folded. */
static const char style[] =
    ":root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#1b1f27;--soft:#5d6675;--line:#e1e5eb;"
    "--axis:#9aa3b1;--on:#fff;--c0:#0b68b8;--c1:#d2600a;--c2:#0a8566;--c3:#a8488c;--c4:#8a6d00;--c5:#5d6675}\n"
    "@media screen and (prefers-color-scheme:dark){:root{--page:#12151a;--card:#1a1e25;--ink:#e6e9ee;--soft:#9aa4b2;"
    "--line:#2b313b;--axis:#667080;--on:#0d1117;--c0:#56b4f0;--c1:#f2a03d;--c2:#3ac79e;--c3:#e08fc5;--c4:#e3c84a;"
    "--c5:#9aa4b2}}\n"
    ".k0{--k:var(--c0)}.k1{--k:var(--c1)}.k2{--k:var(--c2)}.k3{--k:var(--c3)}.k4{--k:var(--c4)}.k5{--k:var(--c5)}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,"
    "'DejaVu Sans',sans-serif}\n"
    "main{max-width:1240px;margin:0 auto;padding:24px 20px 40px}\n"
    "h1{font-size:1.7rem;line-height:1.2;margin:0 0 4px;overflow-wrap:anywhere}\n"
    "h2{font-size:1.15rem;margin:36px 0 12px}\n"
    "p{margin:0 0 10px;max-width:75ch}.sub,.missing,.foot{color:var(--soft)}.sub{overflow-wrap:anywhere}\n"
    ".note{border-left:3px solid var(--c1);padding:4px 10px;background:var(--card);overflow-wrap:anywhere}\n"
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:18px 0}\n"
    ".card,.chart,.sample,details,.table{background:var(--card);border:1px solid var(--line);border-radius:10px}\n"
    ".card{padding:12px 14px}.card b{display:block;font-size:1.4rem;line-height:1.25;font-weight:650;"
    "font-variant-numeric:tabular-nums}\n"
    ".card span{display:block;color:var(--soft);font-size:.82rem}\n"
    ".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,330px),1fr));gap:14px}\n"
    ".chart{margin:0 0 14px;padding:12px 14px 8px;min-width:0}.charts .chart{margin:0}\n"
    ".chart .missing{margin:8px 0}\n"
    "figcaption{display:flex;flex-wrap:wrap;gap:2px 14px;align-items:baseline;font-size:.82rem;color:var(--soft);"
    "margin-bottom:6px}\n"
    "figcaption b{flex-basis:100%;color:var(--ink);font-size:.95rem;font-weight:600}\n"
    ".key::before{content:'';display:inline-block;width:18px;margin-right:6px;vertical-align:3px;"
    "border-top:3px solid var(--k)}\n"
    ".key.faint::before{border-top-width:1px;opacity:.8}.key.rule::before{border-top:2px dashed var(--soft)}\n"
    ".ramp i{display:inline-block;width:90px;height:10px;vertical-align:-1px;border:1px solid var(--line);"
    "background:linear-gradient(90deg,transparent,var(--c0))}\n"
    ".scroll{overflow-x:auto}svg{display:block;width:100%;height:auto;font-size:11px;"
    "font-variant-numeric:tabular-nums}\n"
    "svg svg{display:inline}svg text{fill:var(--soft)}.mid{text-anchor:middle}.end{text-anchor:end}"
    "svg text.on{fill:var(--on)}svg .heat+text{fill:var(--ink)}svg .heat+text.on{fill:var(--on)}\n"
    ".grid{stroke:var(--line);fill:none}.axis{stroke:var(--axis);fill:none}"
    ".line{stroke:var(--k);fill:none;stroke-width:2.2;stroke-linejoin:round;stroke-linecap:round}"
    ".line.faint{stroke-width:1.1;opacity:.5}.rule{stroke:var(--soft);fill:none;stroke-width:1.4;stroke-dasharray:5 4}"
    ".dot{fill:var(--k)}.bar,.heat{fill:var(--c0)}\n"
    ".table{overflow-x:auto;margin-bottom:14px}table{border-collapse:collapse;width:100%;font-size:.9rem;"
    "font-variant-numeric:tabular-nums}\n"
    "caption{text-align:left;padding:10px 14px 4px;font-weight:600}"
    "th,td{padding:6px 14px;text-align:right;border-top:1px solid var(--line);white-space:nowrap}"
    "thead th,thead td{border-top:0;color:var(--soft);font-weight:500}th:first-child,td:first-child{text-align:left}\n"
    ".settings th{font-weight:500;width:40%}.settings td{white-space:normal;overflow-wrap:anywhere}\n"
    ".pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,340px),1fr));gap:14px;"
    "align-items:start}\n"
    ".columns{columns:3 340px;column-gap:14px}.columns .table{break-inside:avoid}\n"
    ".part{font-size:1.4rem;margin-top:48px;border-top:1px solid var(--line);padding-top:24px}\n"
    ".sample{margin:0;padding:10px 14px;min-width:0}.sample pre{margin:0;white-space:pre-wrap;"
    "overflow-wrap:anywhere;font:13px/1.5 ui-monospace,'DejaVu Sans Mono',monospace;max-height:24em;overflow:auto}"
    ".sample mark{background:none;color:var(--c0);font-weight:600}\n"
    "details{margin:0 0 14px}summary{padding:10px 14px;cursor:pointer;font-weight:600}"
    "details .table{border:0;margin:0}details .pair{padding:0 14px 14px}details .pair .table{border:1px solid "
    "var(--line)}\n"
    ".foot{margin-top:36px;font-size:.82rem}\n"
    "@media(max-width:600px){main{padding:16px 12px 32px}th,td{white-space:normal;padding:6px "
    "8px}.part{font-size:1.25rem}"
    ".cards{grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:8px}}\n"
    "@media print{body{background:#fff;font-size:12px}main{padding:0;max-width:none}"
    ".card,.chart,.sample,tr{break-inside:avoid}h2{break-after:avoid}.sample pre{max-height:none}"
    "details::details-content{content-visibility:visible;height:auto}"
    "*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}\n";

void loom_html_open(struct loom_text *html, const char *title) {
    loom_text_append(html, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                           "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                           "style-src 'unsafe-inline'\">\n"
                           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>");
    loom_html_text(html, title);
    loom_text_append(html, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n<h1>", style);
    loom_html_text(html, title);
    loom_text_append(html, "</h1>\n");
}

void loom_html_close(struct loom_text *html) {
    loom_text_append(html, "</main>\n</body>\n</html>\n");
}

void loom_html_text(struct loom_text *html, const char *text) {
    if (text)
        loom_text_put_html(html, text, strlen(text));
}

void loom_html_heading(struct loom_text *html, const char *text) {
    loom_text_append(html, "<h2>");
    loom_html_text(html, text);
    loom_text_append(html, "</h2>\n");
}

void loom_html_card(struct loom_text *html, const char *label, struct loom_text *value, struct loom_text *under) {
    html->failed |= value->failed || under->failed;
    loom_text_append(html, "<div class=\"card\"><span>");
    loom_html_text(html, label);
    loom_text_append(html, "</span><b>%s</b><span>%s</span></div>\n", value->data ? value->data : "",
                     under->data ? under->data : "");
    loom_text_free(value);
    loom_text_free(under);
}

void loom_html_value(struct loom_text *html, const json_t *value) {
    if (!value || json_is_null(value))
        loom_text_append(html, "unknown");
    else if (json_is_string(value))
        loom_text_put_html(html, json_string_value(value), json_string_length(value));
    else if (json_is_real(value))
        loom_text_append(html, "%.10g", json_real_value(value));
    else {
        char *text = loom_json_text(value, JSON_ENCODE_ANY);
        html->failed |= !text;
        loom_html_text(html, text);
        free(text);
    }
}

void loom_html_settings(struct loom_text *html, const char *caption, const json_t *object) {
    if (json_object_size(object) == 0)
        return;
    loom_text_append(html, "<div class=\"table settings\"><table><caption>");
    loom_html_text(html, caption);
    loom_text_append(html, "</caption><tbody>\n");
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        if (json_is_object(value) || json_is_object(json_array_get(value, 0)))
            continue;
        loom_text_append(html, "<tr><th scope=\"row\">");
        loom_html_text(html, key);
        loom_text_append(html, "</th><td>");
        loom_html_value(html, value);
        loom_text_append(html, "</td></tr>\n");
    }
    loom_text_append(html, "</tbody></table></div>\n");
}
