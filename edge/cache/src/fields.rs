//! Header fields of a stored response as one compact block of bytes.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Names that get one byte instead of their text. The order is part of the state file's
/// format: append only.
static NAMES: [HeaderName; 29] = [
    header::ACCEPT_RANGES,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::AGE,
    header::ALLOW,
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LENGTH,
    header::CONTENT_LOCATION,
    header::CONTENT_RANGE,
    header::CONTENT_SECURITY_POLICY,
    header::CONTENT_TYPE,
    header::DATE,
    header::ETAG,
    header::EXPIRES,
    header::LAST_MODIFIED,
    header::LINK,
    header::LOCATION,
    header::PRAGMA,
    header::REFERRER_POLICY,
    header::RETRY_AFTER,
    header::SERVER,
    header::SET_COOKIE,
    header::STRICT_TRANSPORT_SECURITY,
    header::VARY,
    header::VIA,
    header::X_CONTENT_TYPE_OPTIONS,
];
/// Marks a name that is written out.
const SPELLED: u8 = 0xff;

/// Header fields in their order, encoded: a name's number (or its length and text), the
/// value's length, the value. Lengths are 16 bit; longer fields are not taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields(Box<[u8]>);

impl Fields {
    /// Encodes a header map. A field whose name or value is longer than 65,535 bytes is left
    /// out: no server of ours lets one in.
    pub fn encode(map: &HeaderMap) -> Self {
        let mut out = Vec::with_capacity(map.iter().map(|(_, value)| value.len() + 4).sum());
        for (name, value) in map {
            let (Ok(name_len), Ok(value_len)) =
                (u16::try_from(name.as_str().len()), u16::try_from(value.len()))
            else {
                continue;
            };
            match NAMES.iter().position(|known| known == name) {
                // At most NAMES.len(), far below SPELLED.
                Some(number) => out.push(number as u8),
                None => {
                    out.push(SPELLED);
                    out.extend_from_slice(&name_len.to_le_bytes());
                    out.extend_from_slice(name.as_str().as_bytes());
                }
            }
            out.extend_from_slice(&value_len.to_le_bytes());
            out.extend_from_slice(value.as_bytes());
        }
        Self(out.into_boxed_slice())
    }

    /// The header map again.
    pub fn decode(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(16);
        for (name, value) in self.iter() {
            let name = match name {
                Name::Known(name) => Some(name.clone()),
                Name::Spelled(text) => HeaderName::from_bytes(text).ok(),
            };
            if let (Some(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
                map.append(name, value);
            }
        }
        map
    }

    /// First value of one field, without decoding the rest.
    pub fn get(&self, wanted: &HeaderName) -> Option<HeaderValue> {
        let (_, value) = self.iter().find(|(name, _)| match name {
            Name::Known(name) => *name == wanted,
            Name::Spelled(text) => *text == wanted.as_str().as_bytes(),
        })?;
        HeaderValue::from_bytes(value).ok()
    }

    /// The encoded form, for the state file.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes what the state file kept; `None` unless every field parses to its end.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let fields = Self(bytes.into());
        let mut iter = fields.iter();
        let whole = iter.by_ref().all(|(name, value)| {
            HeaderValue::from_bytes(value).is_ok()
                && match name {
                    Name::Known(_) => true,
                    Name::Spelled(text) => HeaderName::from_bytes(text).is_ok(),
                }
        });
        (whole && iter.rest.is_empty()).then_some(fields)
    }

    /// Takes what [`Fields::entries`] gave, put together again.
    pub(crate) fn from_entries(bytes: Vec<u8>) -> Self {
        Self(bytes.into_boxed_slice())
    }

    /// Each field as its encoded name and its value; an encoded field is the name, the value's
    /// length as 16 bits little-endian, the value.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut iter = self.iter();
        std::iter::from_fn(move || {
            let before = iter.rest;
            let (_, value) = iter.next()?;
            let whole = before.len() - iter.rest.len();
            Some((&before[..whole - value.len() - 2], value))
        })
    }

    fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.0 }
    }
}

enum Name<'a> {
    Known(&'static HeaderName),
    Spelled(&'a [u8]),
}

/// Stops in front of the first field that does not parse, which stays in `rest`.
struct Iter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Name<'a>, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&number, rest) = self.rest.split_first()?;
        let (name, rest) = if number == SPELLED {
            let (text, rest) = sized(rest)?;
            (Name::Spelled(text), rest)
        } else {
            (Name::Known(NAMES.get(usize::from(number))?), rest)
        };
        let (value, rest) = sized(rest)?;
        self.rest = rest;
        Some((name, value))
    }
}

/// Splits off what a 16-bit length announces.
fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        map
    }

    #[test]
    fn come_back_in_order() {
        let fields = map(&[
            ("content-type", "video/mp4"),
            ("x-amz-meta-title", "a film"),
            ("link", "<a>"),
            ("link", "<b>"),
            ("etag", ""),
        ]);
        let encoded = Fields::encode(&fields);
        assert_eq!(encoded.decode(), fields);
        assert_eq!(encoded.get(&header::LINK).unwrap(), "<a>");
        assert_eq!(encoded.get(&HeaderName::from_static("x-amz-meta-title")).unwrap(), "a film");
        assert_eq!(encoded.get(&header::VARY), None);
    }

    #[test]
    fn known_names_cost_three_bytes() {
        let encoded = Fields::encode(&map(&[("content-type", "video/mp4"), ("etag", "\"1\"")]));
        assert_eq!(encoded.as_bytes().len(), 3 + 9 + 3 + 3);
    }

    #[test]
    fn entries_are_the_encoded_parts() {
        let encoded = Fields::encode(&map(&[("etag", "\"1\""), ("x-own", ""), ("age", "7")]));
        let mut again = Vec::new();
        for (name, value) in encoded.entries() {
            again.extend_from_slice(name);
            again.extend_from_slice(&u16::try_from(value.len()).unwrap().to_le_bytes());
            again.extend_from_slice(value);
        }
        assert_eq!(encoded.entries().count(), 3);
        assert_eq!(Fields::from_entries(again), encoded);
    }

    #[test]
    fn every_known_name_once() {
        for (number, name) in NAMES.iter().enumerate() {
            assert_eq!(NAMES.iter().position(|other| other == name), Some(number));
        }
    }

    proptest! {
        #[test]
        fn any_map_comes_back(fields in prop::collection::vec(
            ("[a-z][a-z0-9-]{0,20}", prop::collection::vec(0x20..0x7f_u8, 0..40)), 0..20,
        )) {
            let mut map = HeaderMap::new();
            for (name, value) in fields {
                map.append(
                    HeaderName::try_from(name).unwrap(),
                    HeaderValue::from_bytes(&value).unwrap(),
                );
            }
            let encoded = Fields::encode(&map);
            prop_assert_eq!(encoded.decode(), map);
            prop_assert_eq!(Fields::from_bytes(encoded.as_bytes()), Some(encoded));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(fields) = Fields::from_bytes(&bytes) {
                prop_assert_eq!(fields.as_bytes(), &bytes[..]);
                fields.decode();
            }
        }
    }
}
