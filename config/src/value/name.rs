//! Ids and names that mean something elsewhere in the file, or to S3.

use super::Value;
use crate::sheet::Finding;

/// Ids that must not be given twice.
#[derive(Default)]
pub(crate) struct Ids(Vec<(String, usize)>);

impl Ids {
    /// The id, unless another table has it.
    pub(crate) fn take(&mut self, value: &Value<'_>) -> Option<String> {
        let id = value.name()?;
        if let Some((_, at)) = self.0.iter().find(|(other, _)| *other == id) {
            let earlier = value.sheet.line_seen_from(*at, value.span.start);
            return value.refuse(
                Finding::new(format!("`{}` is given twice: \"{id}\"", value.path))
                    .help(format!("{earlier} has it already")),
            );
        }
        self.0.push((id.clone(), value.span.start));
        Some(id)
    }

    pub(crate) fn into_names(self) -> Vec<String> {
        self.0.into_iter().map(|(id, _)| id).collect()
    }
}

impl Value<'_> {
    /// A bucket's name by the rules of S3.
    pub(crate) fn bucket(&self) -> Option<String> {
        let text = self.some_text()?;
        let sound = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
        let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let good = (3..=63).contains(&text.len())
            && text.bytes().all(sound)
            && edge(text.bytes().next())
            && edge(text.bytes().last())
            && !text.contains("..");
        if good {
            return Some(text.to_owned());
        }
        self.refuse(
            Finding::new(format!("`{}` is no bucket name: \"{text}\"", self.path))
                .help("3 to 63 lower-case letters, digits, `-` and `.`"),
        )
    }
}
