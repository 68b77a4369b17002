//! What a limit is, and how the document shows it.

use std::time::Duration;

/// One limit.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Of what, for people.
    pub what: &'static str,
    /// From the code, by one of the functions below; with a key, what the configuration says.
    pub default: String,
    /// The key that sets it, none where nothing does.
    pub key: Option<&'static str>,
    /// What a client sees beyond it: a status, a code, a closed connection.
    pub beyond: &'static str,
    /// Where that is counted, with the label that tells it.
    pub metric: Option<&'static str>,
    /// A test that goes beyond it.
    pub test: &'static str,
}

/// As Markdown.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| limit | default | key | beyond it | counted by |\n| --- | --- | --- | --- | --- |\n",
    );
    for Row { what, default, key, beyond, metric, .. } in rows {
        let code =
            |text: &Option<&str>| text.map_or_else(|| "-".into(), |text| format!("`{text}`"));
        let (key, metric) = (code(key), code(metric));
        text.push_str(&format!("| {what} | {default} | {key} | {beyond} | {metric} |\n"));
    }
    text
}

/// `16,384`
pub(crate) fn count(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().ok().expect("limits are small").to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `32 KiB`
pub(crate) fn bytes(number: impl TryInto<u64>) -> String {
    let mut number = number.try_into().ok().expect("limits are small");
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB"] {
        if number < 1024 || !number.is_multiple_of(1024) {
            break;
        }
        (number, unit) = (number / 1024, larger);
    }
    format!("{} {unit}", count(number))
}

/// `10 s`
pub(crate) fn time(time: Duration) -> String {
    match u64::try_from(time.as_millis()).expect("limits are short") {
        millis if millis.is_multiple_of(1000) => format!("{} s", count(millis / 1000)),
        millis => format!("{} ms", count(millis)),
    }
}
