//! `cachectl keys new | mint-url | explain-token`: without any server.

mod explain;

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

pub(crate) use explain::explain_token;
use serde_json::json;
use url::Url;
use weir_config_units::Duration;
use weir_edge_token::{Claims, SigningKey, canonical, covers, insert, key_set, redact, split_path};

use crate::{
    Answer, World,
    cli::{MintUrl, New},
    failure::{Code, Failure},
    time::{span, utc},
};

/// Key files are short.
const LONGEST: u64 = 1 << 20;

pub(crate) fn new(new: &New, world: &mut World<'_>) -> Result<Answer, Failure> {
    let (private, public) = places(&new.out);
    for file in [&private, &public] {
        if fs::symlink_metadata(file).is_ok() {
            return Err(exists(file));
        }
    }
    let mut seed = [0; 32];
    (world.random)(&mut seed)
        .map_err(|error| Failure::new(Code::Failed, "cannot get random bytes").why(error))?;
    let key = SigningKey::from_seed(seed, new.kid.as_deref())
        .map_err(|error| Failure::new(Code::Usage, "this cannot be the --kid").why(error))?;
    if let Some(folder) = private.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    }
    write(&private, 0o600, &format!("{:#}\n", key.private_jwk()))?;
    let written = write(&public, 0o644, &format!("{:#}\n", key_set([&key])));
    if let Err(failure) = written {
        // Half a pair is none. It was made a moment ago, by us.
        let _ = fs::remove_file(&private);
        return Err(failure);
    }
    let human = format!(
        "key      {}\nprivate  {} (mode 0600; whoever has it can mint tokens)\npublic   {} \
         (for `service.token.jwks` of every edge)\n",
        key.kid(),
        private.display(),
        public.display()
    );
    let data = json!({ "kid": key.kid(), "private": private, "public": public });
    Ok(Answer::new(human, &data))
}

/// Private and public file for `--out`: a folder when it is one, ends like one, or its name has
/// no extension.
fn places(out: &Path) -> (PathBuf, PathBuf) {
    let ends = out.as_os_str().as_encoded_bytes().ends_with(b"/");
    if ends || out.is_dir() || out.extension().is_none() {
        (out.join("signing.jwk"), out.join("jwks.json"))
    } else {
        (out.to_path_buf(), out.with_extension("jwks.json"))
    }
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    // `create_new` also refuses a link that points somewhere else.
    let opened = options.write(true).create_new(true).mode(mode).open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(exists(path)),
        Err(error) => return Err(unwritable(path, &error)),
    };
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|error| {
        let _ = fs::remove_file(path);
        unwritable(path, &error)
    })
}

fn exists(path: &Path) -> Failure {
    Failure::new(Code::Conflict, format!("{} is there already", path.display()))
        .why("keys are never overwritten: every token of the old one would end")
        .next("give another --out, and put both public keys into one key set")
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Code::Failed, format!("cannot write {}", path.display())).why(error)
}

/// The text of a small file.
fn read(path: &Path) -> Result<String, Failure> {
    let failed = |error: io::Error| {
        let code = match error.kind() {
            io::ErrorKind::NotFound => Code::NotFound,
            io::ErrorKind::PermissionDenied => Code::Refused,
            _ => Code::Failed,
        };
        Failure::new(code, format!("cannot read {}", path.display())).why(error)
    };
    let mut text = String::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(LONGEST).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

pub(crate) fn mint_url(mint: &MintUrl, now: u64) -> Result<Answer, Failure> {
    let usage = |what: String| Failure::new(Code::Usage, what);
    let mut url = Url::parse(&mint.url)
        .map_err(|error| usage(format!("\"{}\" is no URL", redact(&mint.url))).why(error))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(usage("the URL must start with http:// or https://".to_owned()));
    }
    let path = url.path().to_owned();
    if split_path(&path).is_some() {
        return Err(
            usage("the URL holds a token already".to_owned()).next("give it without /t/<token>")
        );
    }
    canonical(&path)
        .map_err(|error| usage(format!("no token opens the path \"{path}\"")).why(error))?;
    if mint.ttl < Duration::saturating_from(std::time::Duration::from_secs(1)) {
        return Err(usage("--ttl is at least 1s".to_owned()));
    }
    let folder = path.rfind('/').map_or("/", |at| &path[..=at]);
    let prefix = mint.prefix.as_deref().unwrap_or(folder);
    let covered = canonical(prefix)
        .map_err(|error| usage(format!("--prefix \"{prefix}\" opens nothing")).why(error))
        .map(|prefix| canonical(&path).is_ok_and(|path| covers(&prefix, &path)))?;
    if !covered {
        return Err(usage(format!("--prefix \"{prefix}\" does not open \"{path}\""))
            .next(format!("--prefix {folder}")));
    }
    let key = SigningKey::from_jwk(&read(&mint.key)?).map_err(|error| {
        Failure::new(Code::Failed, format!("cannot use the key {}", mint.key.display()))
            .why(error)
            .next("make one: cachectl keys new --out DIR")
    })?;
    let expires = now.saturating_add(mint.ttl.as_secs());
    let mut claims = Claims::new(&mint.audience, prefix, expires);
    claims.sid.clone_from(&mint.session);
    let token = key
        .mint(&claims)
        .map_err(|error| Failure::new(Code::Usage, "cannot mint the token").why(error))?;
    url.set_path(&insert(&token, &path));
    let data = json!({
        "url": url.as_str(), "kid": key.kid(), "audience": claims.aud, "prefix": claims.pfx,
        "session": claims.sid, "expires": expires,
    });
    let mut note = format!(
        "opens {prefix} of \"{}\" until {} (for {})",
        claims.aud,
        utc(expires),
        span(expires - now)
    );
    if fs::metadata(&mint.key).is_ok_and(|data| data.mode() & 0o077 != 0) {
        let key = mint.key.display();
        note.push_str(&format!("\nwarning: others may read {key}; run: chmod 600 {key}"));
    }
    Ok(Answer::new(format!("{url}\n"), &data).note(note))
}
