//! An object as one short run of bytes. What many objects share (the folder of their keys;
//! service, status, flags, names and repeated values of header fields) is a word in a
//! dictionary; what is their own is packed.
//!
//! A record: prefix word (0 is none), rest of the key, template word (0 is none, and the
//! template follows), generation, size, times, epoch, tags, and the values that the template
//! leaves open. A template: service, status, flags, and for each field either its bytes as
//! they are or its name and the [`Form`] of the value that the record has.

use std::{borrow::Cow, sync::Arc};

use http::StatusCode;

use super::{
    dictionary::{Before, Dictionary},
    value::{self, Form},
    varint::{self, Reader, unzigzag, zigzag},
};
use crate::{
    chunk::ObjectId,
    fields::Fields,
    object::{StoredObject, TAGS_MAX},
};

/// Templates; services times kinds of content times policies is some dozens.
const TEMPLATES_MAX: usize = 1 << 16;
const TEMPLATE_BYTES_MAX: usize = 16 << 20;
/// Remembered values of header fields; 256 KiB.
const VALUES_BEFORE: usize = 1 << 16;
/// In a template: a field as it is. The other marks are those of [`Form`].
const WHOLE: u8 = 0;

/// Packs and unpacks the objects of one table.
#[derive(Debug)]
pub(super) struct Packer {
    prefixes: Dictionary<()>,
    templates: Dictionary<Arc<str>>,
    prefixes_before: Before,
    values_before: Before,
}

/// What a record says without being unpacked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parsed<'a> {
    prefix: Option<u32>,
    rest: &'a [u8],
    template: Template<'a>,
    pub(super) generation: u64,
    pub(super) size: u64,
    request_millis: u64,
    pub(super) response_millis: u64,
    initial_age_millis: u64,
    lifetime_millis: u64,
    pub(super) epoch: u64,
    tags: &'a [[u8; 8]],
    values: Reader<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Template<'a> {
    Word(u32),
    Inline(&'a [u8]),
}

impl Packer {
    /// `objects_max`: of the table; the folders of their keys may take 16 B for each.
    pub(super) fn new(objects_max: usize) -> Self {
        let prefixes = (objects_max / 4).max(1024);
        Self {
            prefixes: Dictionary::new(prefixes, objects_max.saturating_mul(16).max(1 << 20)),
            templates: Dictionary::new(TEMPLATES_MAX, TEMPLATE_BYTES_MAX),
            prefixes_before: Before::new((objects_max / 32).clamp(1024, 1 << 18)),
            values_before: Before::new(VALUES_BEFORE),
        }
    }

    /// Packs an object, which then uses words until [`Packer::release`].
    pub(super) fn pack(&self, object: &StoredObject) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        let key = object.key.as_bytes();
        let (folder, name) = key.split_at(folder_length(key));
        let prefix = self.prefixes.find(folder).or_else(|| {
            let again = !folder.is_empty() && self.prefixes_before.came(&[folder]);
            again.then(|| self.prefixes.find_or_add(folder, || ())).flatten()
        });
        varint::push(&mut out, prefix.map_or(0, |word| u64::from(word) + 1));
        let rest = if prefix.is_some() { name } else { key };
        varint::push(&mut out, rest.len() as u64);
        out.extend_from_slice(rest);

        let mut template = Vec::with_capacity(256);
        let mut values = Vec::with_capacity(128);
        self.split(object, &mut template, &mut values);
        let word = self.templates.find_or_add(&template, || object.service.clone());
        varint::push(&mut out, word.map_or(0, |word| u64::from(word) + 1));
        if word.is_none() {
            varint::push(&mut out, template.len() as u64);
            out.extend_from_slice(&template);
        }

        out.extend_from_slice(&object.generation.to_le_bytes());
        let after = object.response_millis.wrapping_sub(object.request_millis) as i64;
        for number in [
            object.size,
            object.request_millis,
            zigzag(after),
            object.initial_age_millis,
            object.lifetime_millis,
            object.epoch,
        ] {
            varint::push(&mut out, number);
        }
        let tags = &object.tags[..object.tags.len().min(TAGS_MAX)];
        varint::push(&mut out, tags.len() as u64);
        out.extend(tags.iter().flat_map(|tag| tag.to_le_bytes()));
        out.extend_from_slice(&values);
        out
    }

    /// Writes the template of an object and the values it leaves open.
    fn split(&self, object: &StoredObject, template: &mut Vec<u8>, values: &mut Vec<u8>) {
        varint::push(template, object.service.len() as u64);
        template.extend_from_slice(object.service.as_bytes());
        template.extend_from_slice(&object.status.as_u16().to_le_bytes());
        template.extend_from_slice(&object.flags.to_le_bytes());
        for (name, value) in object.fields.entries() {
            let before = values.len();
            let form = value::push(values, value, object.size);
            // Dates, tags and numbers are most often an object's own, and short by now.
            if form == Form::Plain && self.values_before.came(&[name, value]) {
                values.truncate(before);
                template.push(WHOLE);
                varint::push(template, (name.len() + 2 + value.len()) as u64);
                push_name(template, name, value.len());
                template.extend_from_slice(value);
            } else {
                template.push(form.number());
                varint::push(template, name.len() as u64);
                template.extend_from_slice(name);
            }
        }
    }

    /// The object of a record that this packer made.
    pub(super) fn unpack(&self, id: ObjectId, record: &[u8]) -> StoredObject {
        let parsed = Parsed::of(record);
        let key = self.key(&parsed).into_owned().into_boxed_str();
        let read = |template: &[u8], service: Option<&Arc<str>>| {
            unpack_template(template, service, parsed).expect("a template this packer made")
        };
        let (service, status, flags, fields) = match parsed.template {
            Template::Word(word) => {
                self.templates.with(word, |template, service| read(template, Some(service)))
            }
            Template::Inline(template) => read(template, None),
        };
        StoredObject {
            id,
            key,
            generation: parsed.generation,
            service,
            status,
            fields,
            size: parsed.size,
            request_millis: parsed.request_millis,
            response_millis: parsed.response_millis,
            initial_age_millis: parsed.initial_age_millis,
            lifetime_millis: parsed.lifetime_millis,
            flags,
            tags: parsed.tags().collect(),
            epoch: parsed.epoch,
        }
    }

    /// The whole key; borrowed where the record has it whole.
    pub(super) fn key<'a>(&self, parsed: &Parsed<'a>) -> Cow<'a, str> {
        let valid = "a key was text when it was packed";
        match parsed.prefix {
            None => Cow::Borrowed(std::str::from_utf8(parsed.rest).expect(valid)),
            Some(word) => {
                let whole = self.prefixes.with(word, |prefix, ()| [prefix, parsed.rest].concat());
                Cow::Owned(String::from_utf8(whole).expect(valid))
            }
        }
    }

    /// Runs with the service of a record.
    pub(super) fn service<R>(&self, parsed: &Parsed<'_>, read: impl FnOnce(&str) -> R) -> R {
        match parsed.template {
            Template::Word(word) => self.templates.with(word, |_, service| read(service)),
            Template::Inline(template) => {
                let service = Reader(template).sized().expect("a template this packer made");
                read(std::str::from_utf8(service).expect("a service is text"))
            }
        }
    }

    /// The record goes: its words have one user less.
    pub(super) fn release(&self, record: &[u8]) {
        let parsed = Parsed::of(record);
        if let Some(word) = parsed.prefix {
            self.prefixes.release(word);
        }
        if let Template::Word(word) = parsed.template {
            self.templates.release(word);
        }
    }

    /// RAM of the dictionaries.
    pub(super) fn bytes(&self) -> usize {
        self.prefixes.bytes()
            + self.templates.bytes()
            + self.prefixes_before.bytes()
            + self.values_before.bytes()
    }

    /// Prefixes and templates in use.
    #[cfg(test)]
    pub(super) fn words(&self) -> (usize, usize) {
        (self.prefixes.len(), self.templates.len())
    }
}

impl<'a> Parsed<'a> {
    /// Of a record that a packer made.
    pub(super) fn of(record: &'a [u8]) -> Self {
        Self::read(record).expect("a record a packer made")
    }

    fn read(record: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(record);
        let word = |number: u64| u32::try_from(number - 1).ok();
        let prefix = match reader.number()? {
            0 => None,
            number => Some(word(number)?),
        };
        let rest = reader.sized()?;
        let template = match reader.number()? {
            0 => Template::Inline(reader.sized()?),
            number => Template::Word(word(number)?),
        };
        let generation = u64::from_le_bytes(reader.array()?);
        let (size, request_millis) = (reader.number()?, reader.number()?);
        let response_millis = request_millis.wrapping_add(unzigzag(reader.number()?) as u64);
        let (initial_age_millis, lifetime_millis) = (reader.number()?, reader.number()?);
        let epoch = reader.number()?;
        let count = usize::try_from(reader.number()?).ok()?;
        let (tags, _) = reader.take(count.checked_mul(8)?)?.as_chunks();
        Some(Self {
            prefix,
            rest,
            template,
            generation,
            size,
            request_millis,
            response_millis,
            initial_age_millis,
            lifetime_millis,
            epoch,
            tags,
            values: reader,
        })
    }

    pub(super) fn tags(&self) -> impl Iterator<Item = u64> + use<'a> {
        self.tags.iter().map(|tag| u64::from_le_bytes(*tag))
    }
}

fn unpack_template(
    template: &[u8],
    service: Option<&Arc<str>>,
    mut parsed: Parsed<'_>,
) -> Option<(Arc<str>, StatusCode, u32, Fields)> {
    let mut reader = Reader(template);
    let name = reader.sized()?;
    let service = match service {
        Some(service) => service.clone(),
        None => std::str::from_utf8(name).ok()?.into(),
    };
    let status = StatusCode::from_u16(u16::from_le_bytes(reader.array()?)).ok()?;
    let flags = u32::from_le_bytes(reader.array()?);
    let mut fields = Vec::with_capacity(256);
    let mut value = Vec::with_capacity(64);
    while !reader.0.is_empty() {
        match reader.array()? {
            [WHOLE] => fields.extend_from_slice(reader.sized()?),
            [number] => {
                let form = Form::of_number(number)?;
                let name = reader.sized()?;
                value.clear();
                value::read(form, &mut parsed.values, parsed.size, &mut value)?;
                push_name(&mut fields, name, value.len());
                fields.extend_from_slice(&value);
            }
        }
    }
    Some((service, status, flags, Fields::from_entries(fields)))
}

/// A field up to its value, as [`Fields`] has it.
fn push_name(out: &mut Vec<u8>, name: &[u8], value_length: usize) {
    out.extend_from_slice(name);
    // Fields takes no longer values.
    out.extend_from_slice(&(value_length as u16).to_le_bytes());
}

/// Up to and with the last slash of the path; the query, and what selects a variant, may have
/// slashes of their own.
fn folder_length(key: &[u8]) -> usize {
    let path = key.iter().position(|byte| matches!(byte, b'?' | b'\n')).unwrap_or(key.len());
    key[..path].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;
    use crate::table::sample::media;

    fn check(packer: &Packer, object: &StoredObject) -> usize {
        let record = packer.pack(object);
        assert_eq!(packer.unpack(object.id, &record), *object);
        let parsed = Parsed::of(&record);
        assert_eq!(packer.key(&parsed), *object.key);
        assert!(parsed.tags().eq(object.tags.iter().copied()));
        packer.service(&parsed, |service| assert_eq!(*service, *object.service));
        packer.release(&record);
        record.len()
    }

    #[test]
    fn a_media_object_is_short_once_its_like_came() {
        let packer = Packer::new(10_000);
        let kept: Vec<_> = (0..3).map(|number| packer.pack(&media(number))).collect();
        let lengths: Vec<_> = (3..300).map(|number| check(&packer, &media(number))).collect();
        assert!(lengths.iter().all(|length| *length < 80), "{lengths:?}");
        kept.iter().for_each(|record| packer.release(record));
        assert_eq!(packer.words(), (0, 0));
    }

    #[test]
    fn full_dictionaries_cost_bytes_and_nothing_else() {
        let packer = Packer {
            prefixes: Dictionary::new(0, 0),
            templates: Dictionary::new(0, 0),
            ..Packer::new(100)
        };
        for number in 0..10 {
            check(&packer, &media(number));
        }
        assert_eq!(packer.words(), (0, 0));
    }

    #[test]
    fn folders_end_at_the_last_slash_of_the_path() {
        for (key, folder) in [
            ("film|host|/a/b/c.m4s", "film|host|/a/b/"),
            ("film|host|/a?to=/b/c", "film|host|/"),
            ("film|host|/a\n7\naccept=image/png", "film|host|/"),
            ("a", ""),
            ("", ""),
            ("?/", ""),
        ] {
            assert_eq!(&key[..folder_length(key.as_bytes())], folder);
        }
    }

    fn any_object() -> impl Strategy<Value = StoredObject> {
        let value = prop_oneof![
            "[ -~]{0,30}",
            "[0-9]{1,6}",
            "\"[0-9a-f]{32}\"",
            Just("public, max-age=60".to_owned()),
            Just("Sun, 06 Nov 1994 08:49:37 GMT".to_owned()),
        ];
        let name = prop_oneof!["x-[a-z]{1,3}", Just("etag".to_owned()), Just("date".to_owned())];
        let numbers = prop::collection::vec(
            any::<u64>().prop_flat_map(|n| (0..64_u32).prop_map(move |shift| n >> shift)),
            7,
        );
        (
            ("[a-c|/?é]{0,20}", "[a-z]{0,3}", 100..1000_u16, any::<u32>()),
            numbers,
            prop::collection::vec((name, value), 0..8),
            prop::collection::vec(any::<u64>(), 0..5),
        )
            .prop_map(|((key, service, status, flags), numbers, fields, tags)| {
                let mut headers = HeaderMap::new();
                for (name, value) in fields {
                    let name = HeaderName::try_from(name).unwrap();
                    headers.append(name, HeaderValue::try_from(value).unwrap());
                }
                StoredObject {
                    id: ObjectId::of(&key),
                    key: key.into(),
                    generation: numbers[0],
                    service: service.into(),
                    status: StatusCode::from_u16(status).unwrap(),
                    fields: Fields::encode(&headers),
                    size: numbers[1],
                    request_millis: numbers[2],
                    response_millis: numbers[3],
                    initial_age_millis: numbers[4],
                    lifetime_millis: numbers[5],
                    flags,
                    tags: tags.into(),
                    epoch: numbers[6],
                }
            })
    }

    proptest! {
        #[test]
        fn any_objects_come_back(objects in prop::collection::vec(any_object(), 1..40)) {
            let packer = Packer::new(1000);
            let records: Vec<_> = objects.iter().map(|object| packer.pack(object)).collect();
            for (object, record) in objects.iter().zip(&records) {
                prop_assert_eq!(&packer.unpack(object.id, record), object);
            }
            for record in records {
                packer.release(&record);
            }
            prop_assert_eq!(packer.words(), (0, 0));
        }
    }
}
