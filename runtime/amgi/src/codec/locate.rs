//! Where in a JSON text something did not fit: from the place that `serde_json` tells to a JSON Pointer.
//!
//! Reading the value again with a deserializer that keeps the path would say the same, but costs every type of a
//! document a second set of compiled functions. Only a text that failed is looked at here.

use super::push_token;

/// What encloses the place, outermost first.
enum Level {
    /// An object, and the member whose value is being read or was read last.
    Object(Option<String>),
    /// An array, and the index of such an element.
    Array(usize),
}

/// JSON Pointer of the value in `text` that does not fit. Empty for the whole. `read` reads such a text and says what is wrong.
pub(super) fn pointer(text: &[u8], read: impl Fn(&[u8]) -> Option<serde_json::Error>) -> String {
    let text = spaced(text);
    let Some(error) = read(&text) else { return String::new() };
    if error.line() == 0 {
        // Found out after everything was read.
        return String::new();
    }
    let lines = text.split_inclusive(|byte| *byte == b'\n').take(error.line() - 1);
    let read = (lines.map(<[u8]>::len).sum::<usize>() + error.column()).min(text.len());
    let mut levels = Vec::new();
    let last = walk(&text[..read], &mut levels);
    // Alternatives are told apart when their text is read already, and whoever encloses them reads on before it says where
    // it is: past the comma of an array, past the bracket at the end.
    match last {
        Some(Last::Comma) if !is_about_whole(&error) => {
            if let Some(Level::Array(index)) = levels.last_mut() {
                *index -= 1;
            }
        }
        Some(Last::Closed(closed)) if !is_about_whole(&error) => levels.push(closed),
        _ => {}
    }
    let mut pointer = String::new();
    for level in levels {
        match level {
            Level::Object(Some(name)) => push_token(&mut pointer, &name),
            Level::Object(None) => {}
            Level::Array(index) => push_token(&mut pointer, &index.to_string()),
        }
    }
    pointer
}

/// The text with a space after every value, so that a place at its end is not one at what follows.
fn spaced(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 4);
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let end = if byte == b'"' { at + 1 + string(&text[at + 1..]) } else { at + 1 };
        if matches!(byte, b',' | b'}' | b']') {
            out.push(b' ');
        }
        out.extend_from_slice(&text[at..end]);
        at = end;
    }
    out
}

/// Whether what is wrong is an object or array itself, and not the last thing in it.
fn is_about_whole(error: &serde_json::Error) -> bool {
    let text = error.to_string();
    ["missing field", "invalid length", "trailing comma"].iter().any(|kind| text.starts_with(kind))
}

/// What was read last.
enum Last {
    /// The comma before an element.
    Comma,
    /// The bracket that ends this.
    Closed(Level),
}

/// Follows the text to its end, `levels` with it.
fn walk(text: &[u8], levels: &mut Vec<Level>) -> Option<Last> {
    let mut last = None;
    let mut name = None;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {
                // What was closed before it is a value that was read as a whole.
                if matches!(last, Some(Last::Closed(_))) {
                    last = None;
                }
                continue;
            }
            b'"' => {
                let end = at + string(&text[at..]);
                name = Some(at - 1..end);
                at = end;
                last = None;
                continue;
            }
            b':' => {
                if let (Some(Level::Object(member)), Some(range)) = (levels.last_mut(), name.take()) {
                    *member = serde_json::from_slice(&text[range]).ok();
                }
            }
            b'{' => levels.push(Level::Object(None)),
            b'[' => levels.push(Level::Array(0)),
            b'}' | b']' => {
                last = levels.pop().map(Last::Closed);
                continue;
            }
            b',' => {
                if let Some(Level::Array(index)) = levels.last_mut() {
                    *index += 1;
                    last = Some(Last::Comma);
                    continue;
                }
                // The next member has no name yet.
                name = None;
                if let Some(Level::Object(member)) = levels.last_mut() {
                    *member = None;
                }
            }
            _ => {}
        }
        last = None;
    }
    // A member whose name alone is refused: nothing after it was read.
    if let (Some(Level::Object(member @ None)), Some(range)) = (levels.last_mut(), name) {
        *member = serde_json::from_slice(&text[range]).ok();
    }
    last
}

/// Length of the rest of a string, its quote included.
fn string(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::{Deserialize, de::DeserializeOwned};
    use serde_path_to_error::Segment;

    use super::super::push_token;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Plain {
        id: u32,
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        list: Vec<Plain>,
        #[serde(default)]
        one: Option<Either>,
        #[serde(default)]
        many: Vec<Either>,
        #[serde(default)]
        map: BTreeMap<String, Either>,
        #[serde(default)]
        pair: Option<(u8, u8)>,
        #[serde(default)]
        word: Option<Word>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Closed {
        id: u32,
        #[serde(default)]
        inner: Option<Box<Closed>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(untagged)]
    #[allow(dead_code)]
    enum Either {
        Number(u8),
        Object { x: u8 },
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        Yes,
    }

    /// Reads the value again with a deserializer that keeps the path.
    fn tracked<T: DeserializeOwned>(text: &str) -> String {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let mut out = String::new();
        let Err(error) = serde_path_to_error::deserialize::<_, T>(&mut deserializer) else { return out };
        for segment in error.path() {
            match segment {
                Segment::Seq { index } => push_token(&mut out, &index.to_string()),
                Segment::Map { key } => push_token(&mut out, key),
                Segment::Enum { .. } | Segment::Unknown => {}
            }
        }
        out
    }

    fn same<T: DeserializeOwned>(text: &str) {
        let read = |text: &[u8]| serde_json::from_slice::<T>(text).err();
        let error = read(text.as_bytes()).unwrap_or_else(|| panic!("`{text}` fits"));
        let found = super::pointer(text.as_bytes(), read);
        // What is no JSON has no values to point at; how far it was read is as good.
        if error.is_data() {
            assert_eq!(found, tracked::<T>(text), "{text}: {error:?}");
        }
    }

    #[test]
    fn places_are_those_of_a_tracked_path() {
        for value in [
            r#"{"id": "x"}"#,
            r#"{"id": 1.5, "name": "n"}"#,
            r#"{"name": "a,b}]"}"#,
            r#"{"id": 1, "name": {"a": [1, 2]}}"#,
            r#"{"id": 1, "name": [1], "list": []}"#,
            r#"{"id": 1, "list": [{"id": 1}, {"id": true}]}"#,
            r#"{"id": 1, "list": [{"id": 1}, {"name": "x"}, {"id": 1}]}"#,
            r#"{"id": 1, "list": [{"name": "x"}]}"#,
            r#"{"id": 1, "list": {"id": 1}}"#,
            r#"{"id": 1, "one": {"y": 1}}"#,
            r#"{"id": 1, "one": {"y": 1}, "name": "x"}"#,
            r#"{"id": 1, "one": "x" , "name": "x"}"#,
            r#"{"id": 1, "one": "x" }"#,
            r#"{"id": 1, "many": [1, {"x": 1}, "z", 1]}"#,
            r#"{"id": 1, "many": [1, {"x": 1}, "z"]}"#,
            r#"{"id": 1, "many": [1, {"x": {}}, 3]}"#,
            r#"{"id": 1, "many": [ [1] ] , "name": "n"}"#,
            r#"{"id": 1, "map": {"a/b": 1, "c~d": "x"}}"#,
            r#"{"id": 1, "map": {"a/b": "y", "c": 2}}"#,
            r#"{"id": 1, "pair": [1]}"#,
            r#"{"id": 1, "pair": [1, "x"]}"#,
            r#"{"id": 1, "word": "no"}"#,
            r#"{"id": 1, "word": "no", "name": "\"}, {"}"#,
            r#"{"id": 1, "w\u0061": 3, "name": "\\", "list": [{"id": {}}]}"#,
            "{\n  \"id\": 1,\n  \"list\": [\n    {\"id\": 1},\n    {\"id\": \"é\"}\n  ]\n}",
            r#"{"id": 1, "#,
            r#"{"id": 1} x"#,
            "[true]",
            r#""text""#,
            "null",
        ] {
            same::<Plain>(value);
            same::<Vec<Plain>>(&format!("[{value}]"));
        }
        same::<Plain>("");
        same::<Closed>(r#"{"id": 1, "inner": {"id": 2, "other": 3}}"#);
        same::<Closed>(r#"{"id": 1, "inner": {"inner": null}}"#);
        same::<Closed>(r#"{"id":1,"other":"red"}"#);
        same::<Closed>(r#"{"other":"red"}"#);
        same::<Vec<Closed>>(r#"[{"id":1},{"id":1,"inner":{"id":1},"other":null}]"#);
        same::<Closed>(r#"{"id": 1, "more": 1}"#);
        same::<Closed>(r#"{"more": "x", "id": 1}"#);
        same::<Closed>(r#"{"a/b": {}}"#);
        same::<Either>(r#"{"y": 1}"#);
        same::<Plain>("");
    }
}
