//! `cachectl cache get`

use std::{fs::File, ops::Range, path::Path};

use serde::Serialize;
use weir_config_admin::{
    CACHE_BODY, CACHE_OBJECT, CACHE_OBJECT_VERIFY, ChunkCopy, ChunkState, ObjectShown,
    ObjectVerified, ObjectVerify,
};
use weir_edge_token::redact;

use super::{
    ls::{held, name, pinned},
    named,
};
use crate::{
    Answer, World,
    cli::Get,
    client::{Client, Ended, encoded},
    failure::{Code, Failure},
    print::{bytes, count, counted, plain, table},
    time::span,
};

/// Bytes of every chunk but the last.
const CHUNK: u64 = 1 << 20;

/// What `--json` prints.
#[derive(Serialize)]
struct Got<'a> {
    #[serde(flatten)]
    object: &'a ObjectShown,
    /// The bytes that were meant.
    range: Range<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    written_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    copies: Option<&'a [ChunkCopy]>,
}

pub(crate) fn get(
    client: &Client,
    get: &Get,
    json: bool,
    world: &mut World<'_>,
) -> Result<Answer, Failure> {
    named::url_or_key(&get.name)?;
    let mut query = match named::is_url(&get.name) {
        true => format!("?url={}", encoded(&get.name)),
        false => format!("?key={}", encoded(&get.name)),
    };
    if let Some(variant) = &get.variant {
        query.push_str(&format!("&variant={}", encoded(variant)));
    }
    let to_stdout = match &get.output {
        Some(file) => file.as_os_str() == "-",
        None => !get.verify && !json,
    };
    if to_stdout && json {
        return Err(Failure::new(Code::Usage, "the bytes and the JSON cannot both go to stdout")
            .next("write the bytes to a file: --output FILE"));
    }
    if to_stdout && world.terminal && get.output.is_none() {
        return Err(Failure::new(Code::Usage, "stdout is a terminal, and these are raw bytes")
            .next("--output FILE, or --output - if that is meant; --json shows what is stored"));
    }
    let object: ObjectShown = client.get(&format!("{CACHE_OBJECT}{query}"))?;
    let range = match &get.range {
        Some(text) => range(text, object.row.size)?,
        None => 0..object.row.size,
    };
    let copies = match get.verify {
        true => Some(verify(client, &object, &range, world)?),
        false => None,
    };
    let mut written = None;
    if let Some(file) = get.output.as_deref().filter(|_| !to_stdout) {
        written = Some(to_file(client, &query, &object, &range, file)?);
    } else if to_stdout {
        let path = path(&query, &object, &range);
        let ended = client.download(&path, world.stdout, "stdout")?;
        whole(&ended, &object)?;
    }
    let shown = redact(&get.name);
    let mut human = match (&written, to_stdout, get.verify) {
        (Some(written), ..) => {
            let file = get.output.as_deref().unwrap_or(Path::new("")).display().to_string();
            format!("wrote {} of {} to {}\n", size(*written), plain(&shown), plain(&file))
        }
        (None, true, _) => String::new(),
        (None, false, _) => render(&object),
    };
    let mut code = Code::Ok;
    if let Some(copies) = &copies {
        let (text, found) = judged(copies);
        code = found;
        // The bytes have stdout for themselves.
        match to_stdout {
            true => drop(write!(world.stderr, "{text}")),
            false => human.push_str(&text),
        }
    }
    if to_stdout {
        return Ok(Answer::silent().code(code));
    }
    let copies = copies.as_deref();
    let got = Got { object: &object, range, written_bytes: written, copies };
    Ok(Answer::new(human, &got).code(code))
}

fn render(object: &ObjectShown) -> String {
    let row = |name: &str, text: String| vec![name.to_owned(), text];
    let fresh = match u64::try_from(object.row.ttl_s) {
        Ok(left) => format!("age {}, fresh for {}", span(object.row.age_s), span(left)),
        Err(_) => {
            let stale = object.row.ttl_s.unsigned_abs();
            format!("age {}, stale for {}", span(object.row.age_s), span(stale))
        }
    };
    let mut rows = vec![
        row("key", name(&object.row)),
        row("size", size(object.row.size)),
        row("place", held(&object.row)),
        row("fresh", fresh),
    ];
    if let Some(pin) = &object.row.pin {
        rows.push(row("kept", pinned(pin)));
    }
    table("", &rows)
}

fn size(number: u64) -> String {
    format!("{} ({} B)", bytes(number), count(number))
}

fn path(query: &str, object: &ObjectShown, range: &Range<u64>) -> String {
    let Range { start, end } = range;
    format!("{CACHE_BODY}{query}&generation={}&from={start}&to={end}", object.generation)
}

/// Under another name until it is whole: what breaks off is no file of that name. What is there
/// and no plain file (a device, a pipe) is written to as it is.
fn to_file(
    client: &Client,
    query: &str,
    object: &ObjectShown,
    range: &Range<u64>,
    file: &Path,
) -> Result<u64, Failure> {
    let name = plain(&file.display().to_string());
    let fail = |error| Failure::new(Code::Failed, format!("cannot write {name}")).why(error);
    let bring = |to: &mut File| {
        let ended = client.download(&path(query, object, range), to, &name)?;
        whole(&ended, object)
    };
    // Where a link points to, if there is something.
    let place = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    if std::fs::metadata(&place).is_ok_and(|there| !there.is_file()) {
        let mut to = File::options().write(true).open(&place).map_err(fail)?;
        return bring(&mut to);
    }
    let mut part = place.as_os_str().to_owned();
    part.push(format!(".{}.part", std::process::id()));
    // A file of that name is somebody else's.
    let mut to = File::create_new(&part).map_err(fail)?;
    let done = bring(&mut to)
        .and_then(|written| std::fs::rename(&part, &place).map(|()| written).map_err(fail));
    if done.is_err() {
        // It is the error that counts.
        let _ = std::fs::remove_file(&part);
    }
    done
}

fn whole(ended: &Ended, object: &ObjectShown) -> Result<u64, Failure> {
    match *ended {
        Ended::Whole(written) => Ok(written),
        Ended::Enough => Ok(0),
        Ended::Short(written, of) => {
            let key = plain(&object.row.key);
            let what = format!("{key} breaks off after {} of {} B", count(written), count(of));
            Err(Failure::new(Code::Failed, what)
                .why("a chunk did not verify, or left the cache meanwhile")
                .next("cachectl cache get --verify says which chunk, and on which disk"))
        }
    }
}

/// Every copy of the chunks of a range.
fn verify(
    client: &Client,
    object: &ObjectShown,
    range: &Range<u64>,
    world: &mut World<'_>,
) -> Result<Vec<ChunkCopy>, Failure> {
    let chunk = |index: u64| u32::try_from(index).unwrap_or(u32::MAX);
    let to = chunk(range.end.div_ceil(CHUNK));
    let mut request = ObjectVerify {
        id: object.row.id.clone(),
        generation: object.generation,
        from: chunk(range.start / CHUNK),
        to,
    };
    let mut copies = Vec::new();
    if range.is_empty() {
        return Ok(copies);
    }
    loop {
        let step: ObjectVerified = client.post_slowly(CACHE_OBJECT_VERIFY, &request)?;
        copies.extend(step.copies);
        let Some(next) = step.next.filter(|next| *next > request.from) else { return Ok(copies) };
        request.from = next;
        // Progress that nobody can see is no reason to stop.
        let _ = writeln!(world.stderr, "verified {} of {to} chunks", count(next.into()));
    }
}

/// What was found, and what that means.
fn judged(copies: &[ChunkCopy]) -> (String, Code) {
    let of = |state| copies.iter().filter(|copy| copy.state == state).count() as u64;
    let (sound, damaged) = (of(ChunkState::Sound), of(ChunkState::Damaged));
    let (memory, missing) = (of(ChunkState::Memory), of(ChunkState::Missing));
    let mut text = format!("checksums  {} on disk sound", counted(sound, "chunk"));
    for (number, what) in [
        (damaged, "damaged and dropped"),
        (memory, "in RAM only, not read back"),
        (missing, "not held"),
    ] {
        if number > 0 {
            text.push_str(&format!(", {} {what}", count(number)));
        }
    }
    text.push('\n');
    let bad = copies.iter().filter(|copy| copy.state == ChunkState::Damaged);
    for copy in bad.take(100) {
        let disk = copy.disk.as_deref().map(plain).unwrap_or_default();
        let start = u64::from(copy.chunk) * CHUNK;
        text.push_str(&format!(
            "  ! chunk {} (from byte {}) on {disk} did not hold; it is fetched again when it is \
             asked for\n",
            copy.chunk,
            count(start)
        ));
    }
    let code = match (damaged, missing) {
        (0, 0) => Code::Ok,
        (0, _) => Code::Partial,
        _ => Code::Unhealthy,
    };
    (text, code)
}

/// `FIRST-LAST`, `FIRST-` or `-LENGTH`, as in a Range field (RFC 9110 §14.1.2).
fn range(text: &str, size: u64) -> Result<Range<u64>, Failure> {
    let bad = |why: String| {
        Failure::new(Code::Usage, format!("no range: {}", plain(text)))
            .why(why)
            .next("FIRST-LAST, FIRST- or -LENGTH, such as 0-99")
    };
    let spec = text.strip_prefix("bytes=").unwrap_or(text);
    let number = |text: &str| text.parse::<u64>().map_err(|error| bad(error.to_string()));
    let (first, last) = spec.split_once('-').ok_or_else(|| bad("it has no -".into()))?;
    let range = match (first, last) {
        ("", length) => size.saturating_sub(number(length)?)..size,
        (first, "") => number(first)?..size,
        (first, last) => number(first)?..number(last)?.saturating_add(1).min(size),
    };
    if range.start >= range.end {
        return Err(bad(format!("nothing of the {} B is in it", count(size))));
    }
    Ok(range)
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn ranges() {
        let check = |text, expected| assert_eq!(range(text, 100).ok(), expected, "{text}");
        check("0-9", Some(0..10));
        check("bytes=5-", Some(5..100));
        check("-7", Some(93..100));
        check("-700", Some(0..100));
        check("99-99", Some(99..100));
        check("90-700", Some(90..100));
        for text in ["100-", "9-8", "a-b", "", "5", "-0", "-"] {
            check(text, None);
        }
    }
}
