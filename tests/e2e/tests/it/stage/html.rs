//! What tests read from pages.

/// The value of an attribute where it stands first after `mark`.
pub fn attribute(html: &str, mark: &str, name: &str) -> Option<String> {
    let rest = html.split_once(mark)?.1;
    let value = rest.split_once(&format!("{name}=\""))?.1;
    Some(plain(value.split_once('"')?.0))
}

/// Hidden fields of a page, in order.
pub fn hidden_fields(html: &str) -> Vec<(String, String)> {
    let inputs = html.split("<input type=\"hidden\"").skip(1);
    inputs
        .map(|input| (attribute(input, "", "name").unwrap(), attribute(input, "", "value").unwrap()))
        .collect()
}

/// The charset in which a browser would send the gateway's form of a window page.
pub fn form_charset(html: &str) -> String {
    attribute(html, "id=\"payhost-form\"", "accept-charset").unwrap().to_uppercase()
}

/// The text of a page without its markup and scripts.
pub fn visible(html: &str) -> String {
    let body = html.split_once("<main>").map_or(html, |(_, rest)| rest);
    let body = body.split_once("</main>").map_or(body, |(main, _)| main);
    let mut text = String::new();
    let mut inside = false;
    for character in body.chars() {
        match character {
            '<' => inside = true,
            '>' => inside = false,
            _ if inside => {}
            other => text.push(other),
        }
    }
    plain(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Text without character references.
pub fn plain(text: &str) -> String {
    let pairs = [
        ("&#34;", "\""),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#60;", "<"),
        ("&lt;", "<"),
        ("&#62;", ">"),
        ("&gt;", ">"),
    ];
    let text = pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    text.replace("&#38;", "&").replace("&amp;", "&")
}
