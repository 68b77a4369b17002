//! XML as far as a manifest needs it: elements, attributes, text. No document type, so that
//! no entity is ever expanded but the five of XML itself; everything bounded.

use std::str::FromStr;

use quick_xml::{
    Reader,
    escape::unescape,
    events::{BytesStart, Event},
};

use crate::PlaylistError;

/// Elements inside each other.
const DEPTH: usize = 32;
/// Elements in all.
const ELEMENTS: usize = 300_000;
/// Attributes of one element.
const ATTRIBUTES: usize = 64;
/// Characters of a number, with blanks around it: thousands of elements may inherit one.
pub(super) const NUMBER: usize = 64;

/// An element, by its name without prefix: manifests name their namespaces as they like.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: Box<str>,
    attributes: Vec<(Box<str>, Box<str>)>,
    pub(super) children: Vec<Element>,
    /// The text directly inside, blanks at its ends taken off.
    pub(super) text: String,
}

impl Element {
    /// The value of an attribute, by its name as it stands.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| &**known == name).map(|(_, value)| &**value)
    }

    /// The same as a number; what is none is not there.
    pub(super) fn number<N: FromStr>(&self, name: &str) -> Option<N> {
        let text = self.attribute(name).filter(|text| text.len() <= NUMBER)?;
        text.trim().parse().ok()
    }

    /// `xlink:href`, whatever the prefix.
    pub(super) fn remote(&self) -> Option<&str> {
        let href = |name: &str| name.ends_with(":href");
        self.attributes.iter().find(|(name, _)| href(name)).map(|(_, value)| &**value)
    }

    /// Children of a name, in order.
    pub(super) fn all<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e Element> {
        self.children.iter().filter(move |child| &*child.name == name)
    }

    /// The first child of a name.
    pub(super) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| &*child.name == name)
    }
}

/// The root element of a document.
pub(super) fn read(text: &str) -> Result<Element, PlaylistError> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    // The first is not an element, but holds the root.
    let mut open = vec![Element::default()];
    let mut left = ELEMENTS;
    loop {
        let at = reader.buffer_position();
        let wrong = |what: String| PlaylistError::Xml { at, what };
        let event = reader.read_event().map_err(|error| wrong(error.to_string()))?;
        let inner = open.last_mut().expect("the first is never taken out");
        match event {
            Event::Start(start) => {
                if open.len() > DEPTH || left == 0 {
                    return Err(wrong("too many elements, or too deep".into()));
                }
                left -= 1;
                open.push(element(&start).map_err(wrong)?);
            }
            Event::End(_) => {
                let mut done = open.pop().expect("the reader matches ends with beginnings");
                done.text = done.text.trim().to_owned();
                let Some(outer) = open.last_mut() else {
                    return Err(wrong("an end without its beginning".into()));
                };
                outer.children.push(done);
            }
            Event::Text(text) => {
                inner.text.push_str(&text.decode().map_err(|error| wrong(error.to_string()))?);
            }
            Event::CData(text) => {
                inner.text.push_str(&text.decode().map_err(|error| wrong(error.to_string()))?);
            }
            Event::GeneralRef(name) => {
                let name = name.decode().map_err(|error| wrong(error.to_string()))?;
                let text = format!("&{name};");
                inner.text.push_str(&unescape(&text).map_err(|error| wrong(error.to_string()))?);
            }
            Event::DocType(_) => return Err(wrong("a document type is not taken".into())),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::Empty(_) => {}
            Event::Eof if open.len() > 1 => return Err(wrong("it breaks off".into())),
            Event::Eof => {
                let root = open.pop().and_then(|mut top| top.children.drain(..).next());
                return root.ok_or_else(|| wrong("it has no element".into()));
            }
        }
    }
}

fn element(start: &BytesStart<'_>) -> Result<Element, String> {
    let name = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned().into_boxed_str();
    let mut attributes = Vec::new();
    // Looking for doubles is quadratic; the first one counts.
    for attribute in start.attributes().with_checks(false) {
        let attribute = attribute.map_err(|error| error.to_string())?;
        if attributes.len() == ATTRIBUTES {
            return Err("too many attributes".into());
        }
        let value = std::str::from_utf8(&attribute.value).map_err(|error| error.to_string())?;
        let value = unescape(value).map_err(|error| error.to_string())?;
        attributes.push((name(attribute.key.as_ref()), value.into_owned().into_boxed_str()));
    }
    let name = name(start.local_name().as_ref());
    Ok(Element { name, attributes, ..Element::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(element: &Element) -> String {
        let attributes: Vec<_> =
            element.attributes.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        let children: Vec<_> = element.children.iter().map(shown).collect();
        format!("{}{}[{}{}]", element.name, attributes.concat(), element.text, children.concat())
    }

    #[test]
    fn trees() {
        let check = |text: &str, expected: &str| {
            let found = match read(text) {
                Ok(root) => shown(&root),
                Err(error) => format!("error {error}"),
            };
            assert!(found.contains(expected), "{text}: {found}");
        };
        check(
            "<?xml version=\"1.0\"?><a b='1' c:d=\"&amp;&#65;\"> x <e/>y</a>",
            "a b=1 c:d=&A[x y",
        );
        check("<n:a><!-- <b/> --><b>1 &lt; 2</b></n:a>", "a[b[1 < 2]]");
        check("<a><![CDATA[<b>]]></a>", "a[<b>]");
        check("<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>", "a document type is not taken");
        check("<a>&e;</a>", "error");
        check("<a b=\"&e;\"/>", "error");
        check("<a><b></a>", "error");
        check("<a>", "it breaks off");
        check("</a>", "error");
        check("", "it has no element");
        check("no xml", "it has no element");
        check(&"<a>".repeat(100), "too deep");
        let many = format!("<a {}/>", "b='1' ".repeat(100));
        check(&many, "too many attributes");
    }
}
