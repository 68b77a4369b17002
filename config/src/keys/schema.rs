//! The JSON Schema of a configuration, made from the table of keys: for editors, and for whoever
//! writes configurations by program. It says less than the parser, which alone knows what keys
//! have to do with each other.

use serde_json::{Map, Value, json};

use super::{Key, Kind, Server};

const SIZE: &str = "^[0-9][0-9._]*\\s*[A-Za-z]*$";
const DURATION: &str = "^[0-9][0-9._]*\\s*(ns|us|µs|ms|s|m|min|h|d)?$";

pub(super) fn schema(server: Server) -> Value {
    let mut root = table(server, "");
    let name = server.as_str();
    root["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    root["title"] = format!("{name}.toml of Weir").into();
    root
}

fn table(server: Server, path: &str) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for child in server.children(path) {
        let inner = if path.is_empty() { child.to_owned() } else { format!("{path}.{child}") };
        let name = child.trim_end_matches("[]");
        let key = server.keys().find(|key| key.path == inner);
        let value = match key {
            Some(key) => {
                if key.is_required() && key.only.is_empty() {
                    required.push(name);
                }
                of_key(server, key)
            }
            None if child.ends_with("[]") => {
                json!({ "type": "array", "items": table(server, &inner) })
            }
            None => table(server, &inner),
        };
        properties.insert(name.to_owned(), value);
    }
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn of_key(server: Server, key: &Key) -> Value {
    let mut value = match key.kind {
        Kind::Text | Kind::Path => json!({ "type": "string", "minLength": 1 }),
        Kind::Size => json!({ "type": "string", "pattern": SIZE }),
        Kind::Duration => json!({ "type": "string", "pattern": DURATION }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Integer(least, most) => json!({
            "type": "integer", "minimum": least, "maximum": most,
        }),
        Kind::Ratio => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::List => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Map => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Kind::Credentials => json!({
            "oneOf": [{ "enum": ["anonymous", "env", "imds"] }, table(server, key.path)],
        }),
    };
    value["description"] = key.about.into();
    value["x-takes-effect"] = key.class.as_str().into();
    if let Some(default) = key.literal_default() {
        let parsed = serde_json::from_str(default).unwrap_or_else(|_| default.into());
        value["default"] = parsed;
    } else if !key.is_required() && !key.default.is_empty() {
        value["x-default"] = key.default.into();
    }
    if !key.only.is_empty() {
        value["x-only"] = format!("kind = \"{}\"", key.only).into();
    }
    value
}
