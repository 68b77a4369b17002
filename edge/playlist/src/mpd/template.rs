//! `SegmentTemplate`'s identifiers (ISO/IEC 23009-1 §5.3.9.4.4).

use crate::URL_MAX;

/// Digits that a width may ask for.
const WIDEST: usize = 64;

/// What identifiers stand for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) id: &'a str,
    pub(super) bandwidth: u64,
    pub(super) number: u64,
    pub(super) time: u64,
}

/// The template with its identifiers replaced; none where one is not known, or it gets too long.
pub(super) fn expand(template: &str, values: &Values<'_>) -> Option<String> {
    if template.len() > URL_MAX {
        return None;
    }
    let mut out = String::with_capacity(template.len() + 16);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (identifier, behind) = after.split_once('$')?;
        rest = behind;
        let (name, width) = match identifier.split_once('%') {
            None => (identifier, 1),
            Some((name, format)) => {
                // `%0[width]d`
                let digits = format.strip_prefix('0')?.strip_suffix('d')?;
                (name, digits.parse().ok().filter(|width| *width <= WIDEST)?)
            }
        };
        let mut put = |number: u64| out.push_str(&format!("{number:0width$}"));
        match name {
            "" if identifier.is_empty() => out.push('$'),
            // It takes no width.
            "RepresentationID" if identifier == name && values.id.len() <= URL_MAX => {
                out.push_str(values.id);
            }
            "Number" => put(values.number),
            "Time" => put(values.time),
            "Bandwidth" => put(values.bandwidth),
            _ => return None,
        }
        if out.len() > URL_MAX {
            return None;
        }
    }
    out.push_str(rest);
    Some(out)
}

/// Whether each segment has a name of its own. The template is one that could be expanded.
pub(super) fn tells_apart(template: &str) -> bool {
    template.contains("$Number") || template.contains("$Time")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        let check = |template: &str, expected: Option<&str>| {
            let values = Values { id: "v1", bandwidth: 5000, number: 7, time: 90_000 };
            assert_eq!(expand(template, &values).as_deref(), expected, "{template}");
        };
        check("seg.m4s", Some("seg.m4s"));
        check("$RepresentationID$/seg-$Number$.m4s", Some("v1/seg-7.m4s"));
        check("$Number%05d$-$Time%03d$", Some("00007-90000"));
        check("$Bandwidth$$$x", Some("5000$x"));
        check("$Number%00d$", Some("7"));
        check("$Number%d$", None);
        check("$Number%0999999999d$", None);
        check("$Number%0-1d$", None);
        check("$Number%0x$", None);
        check("$SubNumber$", None);
        check("$RepresentationID%05d$", None);
        check("$Number", None);
        check("$%05d$", None);
        check(&"a".repeat(URL_MAX), Some(&"a".repeat(URL_MAX)));
        check(&"a".repeat(URL_MAX + 1), None);
        // Each of them would put in all of it.
        let id = "v".repeat(URL_MAX / 2);
        let values = Values { id: &id, bandwidth: 0, number: 0, time: 0 };
        assert_eq!(expand("$RepresentationID$", &values), Some(id.clone()));
        assert_eq!(expand(&"$RepresentationID$".repeat(3), &values), None);
        let id = "v".repeat(URL_MAX + 1);
        let values = Values { id: &id, ..values };
        assert_eq!(expand("$RepresentationID$", &values), None);
    }
}
