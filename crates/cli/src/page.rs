//! What every page that is written has in common: its style, and text that is nothing but text. No scripts, and nothing from
//! elsewhere; made to be read, printed and handed on.

use crate::screen::printable;

/// Light and plain. The sum may be written after the table, where it is known only then; it is shown first.
const STYLE: &str = "\
:root{color-scheme:light;--ink:#1c2430;--dim:#5b6675;--line:#dde3ea;--grave:#b3261e;--warn:#8a5a00;--calm:#3d4b5c}
*{box-sizing:border-box}
body{margin:0;background:#f4f6f8;color:var(--ink);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}
main{display:flex;flex-direction:column;max-width:1200px;margin:0 auto;padding:32px 24px}
header{order:-2;margin-bottom:20px}
h1{margin:0;font-size:26px;letter-spacing:-.01em}
header p{margin:4px 0 0;color:var(--dim)}
.sum{order:-1;margin-bottom:20px}
.sum ul{display:flex;flex-wrap:wrap;gap:10px;margin:0 0 10px;padding:0;list-style:none}
.sum li{padding:10px 16px;border:1px solid var(--line);border-radius:10px;background:#fff}
.sum b{display:block;font-size:22px;line-height:1.2;font-variant-numeric:tabular-nums}
.sum p{margin:0;color:var(--dim)}
table{width:100%;border-collapse:collapse;background:#fff;border:1px solid var(--line);border-radius:10px}
th{padding:10px 14px;text-align:left;color:var(--dim);font-size:12px;text-transform:uppercase;letter-spacing:.05em}
td{padding:12px 14px;border-top:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
td small{display:block;color:var(--dim)}
td time{white-space:nowrap}
.kind{white-space:nowrap;font-weight:600;color:var(--calm)}
.grave{color:var(--grave)}
.warn{color:var(--warn)}
code,small.id{font:12.5px/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
code span,.id{white-space:nowrap}
code{display:inline-block;margin-top:6px;padding:3px 8px;border-radius:6px;background:#eef2f6}
@media print{body{background:#fff;font-size:11px}main{max-width:none;padding:0}tr{break-inside:avoid}thead{display:table-header-group}.sum li,table{border-color:#999}code{background:none;border:1px solid #ccc}}";

/// Text that is nothing but text.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() => safe.push(char::REPLACEMENT_CHARACTER),
            c => safe.push(c),
        }
    }
    // What turns the direction of text could show another owner than there is.
    printable(&safe).into_owned()
}

/// The beginning of a page up to its body, which begins with a heading and a line below it. Both have to be escaped.
pub(crate) fn head(title: &str, heading: &str, below: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>\n{STYLE}\n</style>\n</head>\n<body>\n<main>\n<header>\n<h1>{heading}</h1>\n<p>{below}</p>\n</header>\n"
    )
}

/// The end of a page.
pub(crate) const TAIL: &str = "</main>\n</body>\n</html>\n";
