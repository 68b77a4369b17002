//! One value of the file, read as what it should be.

mod name;
mod net;
mod path;

use std::{ops::Range, str::FromStr};

use toml::{Spanned, de::DeValue};
use weir_config_units::ParseError;

pub(crate) use name::Ids;
pub(crate) use path::flawed;

use crate::{
    sheet::{Finding, Sheet},
    table::Table,
};

/// One value, with its place.
pub(crate) struct Value<'s> {
    pub(crate) sheet: &'s Sheet,
    pub(crate) value: &'s DeValue<'s>,
    pub(crate) span: Range<usize>,
    /// `listen.https[0]`
    pub(crate) path: String,
    /// A value that would be right, as TOML; may be empty.
    example: &'static str,
}

impl<'s> Value<'s> {
    pub(crate) fn new(
        sheet: &'s Sheet,
        value: &'s Spanned<DeValue<'s>>,
        path: String,
        example: &'static str,
    ) -> Self {
        Self { sheet, value: value.get_ref(), span: value.span(), path, example }
    }

    /// Notes a mistake at this value, with the key's example unless the finding has its own.
    pub(crate) fn wrong(&self, mut finding: Finding) {
        // An example that says what stands there already would only puzzle.
        let written = self.sheet.text().get(self.span.clone()) == Some(self.example);
        if finding.example.is_none() && !self.example.is_empty() && !written {
            let key = self.path.rsplit('.').next().unwrap_or_default();
            let key = key.split('[').next().unwrap_or_default();
            finding.example = Some(format!("{key} = {}", self.example));
        }
        self.sheet.found(Some(self.span.clone()), &self.path, finding);
    }

    /// The same, and nothing to go on with.
    pub(crate) fn refuse<T>(&self, finding: Finding) -> Option<T> {
        self.wrong(finding);
        None
    }

    /// What TOML calls it, with its article.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        }
    }

    fn wrong_type<T>(&self, wanted: &str) -> Option<T> {
        let path = &self.path;
        self.refuse(Finding::new(format!("`{path}` must be {wanted}, not {}", self.kind())))
    }

    pub(crate) fn text(&self) -> Option<&'s str> {
        match self.value {
            DeValue::String(text) => Some(text.as_ref()),
            _ => self.wrong_type("a string"),
        }
    }

    /// Text that is not empty.
    pub(crate) fn some_text(&self) -> Option<&'s str> {
        let text = self.text()?;
        if text.trim().is_empty() {
            return self.refuse(Finding::new(format!("`{}` is empty", self.path)));
        }
        Some(text)
    }

    /// A name that may stand in metrics, logs and paths.
    pub(crate) fn name(&self) -> Option<String> {
        let text = self.some_text()?;
        let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if text.len() > 128 || !text.chars().all(sound) || text.starts_with('.') {
            return self.refuse(
                Finding::new(format!("`{}` is no usable name", self.path))
                    .help("letters, digits, `-`, `_` and `.`, at most 128"),
            );
        }
        Some(text.to_owned())
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(value) => Some(*value),
            _ => self.wrong_type("true or false"),
        }
    }

    /// A whole number from `least` to `most`.
    pub(crate) fn integer(&self, least: u64, most: u64) -> Option<u64> {
        let DeValue::Integer(written) = self.value else {
            return self.wrong_type("a whole number");
        };
        let value = i128::from_str_radix(written.as_str(), written.radix()).ok();
        let value = value.and_then(|value| u64::try_from(value).ok());
        match value {
            Some(value) if (least..=most).contains(&value) => Some(value),
            _ => self.refuse(Finding::new(format!(
                "`{}` is out of range: {written} is not between {least} and {most}",
                self.path
            ))),
        }
    }

    /// A share of all, from 0 to 1, in millionths.
    pub(crate) fn ratio(&self) -> Option<u32> {
        let written = match self.value {
            DeValue::Float(written) => written.as_str(),
            DeValue::Integer(written) => written.as_str(),
            _ => return self.wrong_type("a number from 0 to 1"),
        };
        match written.replace('_', "").parse::<f64>() {
            Ok(value) if (0.0..=1.0).contains(&value) => Some((value * 1e6).round() as u32),
            _ => self.refuse(Finding::new(format!(
                "`{}` is out of range: {written} is not between 0 and 1",
                self.path
            ))),
        }
    }

    /// A [`weir_config_units`] quantity from `least` to `most`.
    pub(crate) fn quantity<T>(&self, least: T, most: T) -> Option<T>
    where
        T: FromStr<Err = ParseError> + PartialOrd + std::fmt::Display + Copy,
    {
        let DeValue::String(text) = self.value else {
            return self.wrong_type("a string with a number and a unit");
        };
        match text.parse::<T>() {
            Err(error) => self.refuse(Finding::new(format!("`{}`: {error}", self.path))),
            Ok(value) if value < least => self.refuse(Finding::new(format!(
                "`{}` is out of range: {value} is less than {least}",
                self.path
            ))),
            Ok(value) if value > most => self.refuse(Finding::new(format!(
                "`{}` is out of range: {value} is more than {most}",
                self.path
            ))),
            Ok(value) => Some(value),
        }
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text) {
            return Some(*value);
        }
        let names = choices.iter().map(|(name, _)| *name);
        let listed: Vec<_> = names.clone().map(|name| format!("\"{name}\"")).collect();
        let what = format!("`{}` must be one of {}", self.path, listed.join(", "));
        let finding = Finding::new(what);
        self.refuse(match did_you_mean(text, names) {
            Some(help) => finding.help(help),
            None => finding,
        })
    }

    /// Each item read the same way; every wrong item is noted.
    pub(crate) fn list<T>(&self, read: impl FnMut(&Value<'s>) -> Option<T>) -> Option<Vec<T>> {
        let DeValue::Array(items) = self.value else {
            return self.wrong_type("a list");
        };
        let value = |(at, item): (usize, &'s Spanned<DeValue<'s>>)| Value {
            sheet: self.sheet,
            value: item.get_ref(),
            span: item.span(),
            path: format!("{}[{at}]", self.path),
            example: self.example,
        };
        let values: Vec<_> = items.iter().enumerate().map(value).collect();
        let found: Vec<_> = values.iter().map(read).collect();
        found.into_iter().collect()
    }

    pub(crate) fn table(&self) -> Option<Table<'s>> {
        match self.value {
            DeValue::Table(entries) => Some(Table::new(
                self.sheet,
                Some(entries),
                Some(self.span.clone()),
                self.path.clone(),
            )),
            _ => self.wrong_type("a table"),
        }
    }

    pub(crate) fn is_text(&self) -> bool {
        matches!(self.value, DeValue::String(_))
    }
}

/// ``did you mean `deadline`?``, when one of the known words is near.
pub fn did_you_mean<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    // The distance is quadratic in the length of what somebody wrote.
    if written.len() > 64 {
        return None;
    }
    let lower = written.to_ascii_lowercase().replace('-', "_");
    let near = |word: &'a str| {
        let distance = strsim::damerau_levenshtein(&lower, &word.replace('-', "_"));
        (distance <= (word.len().max(written.len()) / 3).max(1)).then_some((distance, word))
    };
    // `enviroment` is far from `env`, but means it.
    let longer = |word: &&'a str| word.len() >= 3 && lower.starts_with(*word);
    let known: Vec<_> = known.collect();
    let nearest = known.iter().copied().filter_map(near).min().map(|(_, word)| word);
    let word = nearest.or_else(|| known.iter().copied().find(longer))?;
    Some(format!("did you mean `{word}`?"))
}
