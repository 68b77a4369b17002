//! Addresses, URLs, host names and header names.

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

use super::Value;
use crate::sheet::Finding;

impl Value<'_> {
    /// `127.0.0.1:8443` or `[::1]:8443`.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        let text = self.some_text()?;
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Some(address);
        }
        let finding = Finding::new(format!(
            "`{}` must be an IP address and a port, not \"{text}\"",
            self.path
        ));
        self.refuse(if text.parse::<IpAddr>().is_ok() {
            finding.help("the port is missing")
        } else if text.starts_with(':') {
            finding.help("for every address write \"0.0.0.0\" or \"[::]\" before the port")
        } else if text.rsplit_once(':').is_some_and(|(host, _)| host.contains(':')) {
            finding.help("an IPv6 address stands in brackets")
        } else {
            finding.help("names are not looked up here")
        })
    }

    /// An `http` or `https` URL without user, query and fragment.
    pub(crate) fn base_url(&self) -> Option<Url> {
        let text = self.some_text()?;
        let refuse = |why: &str| {
            self.refuse(
                Finding::new(format!("`{}` must be an http or https URL", self.path)).help(why),
            )
        };
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(error) => return refuse(&error.to_string()),
        };
        if !matches!(url.scheme(), "http" | "https") {
            return refuse("it starts with \"http://\" or \"https://\"");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("user and password do not belong into a URL");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return refuse("it has neither query nor fragment");
        }
        Some(url)
    }

    /// The same without a path.
    pub(crate) fn server_url(&self) -> Option<Url> {
        let url = self.base_url()?;
        if url.path() != "/" {
            return self.refuse(
                Finding::new(format!("`{}` must not have a path", self.path))
                    .help("scheme, host and port only"),
            );
        }
        Some(url)
    }

    /// A host as clients name it, lower case, without a port, and without the brackets that an
    /// IPv6 address has in a URL.
    pub(crate) fn host(&self) -> Option<String> {
        let text = self.some_text()?;
        let refuse = |help: &str| {
            self.refuse(
                Finding::new(format!("`{}` is no host name: \"{text}\"", self.path)).help(help),
            )
        };
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        if let Ok(IpAddr::V6(address)) = bare.parse::<IpAddr>() {
            return Some(address.to_string());
        }
        if text.contains("://") || text.contains('/') {
            return refuse("the name only, without scheme and path");
        }
        if text.contains(':') {
            return refuse("without a port");
        }
        match Host::parse(text) {
            Ok(host) => Some(host.to_string().to_ascii_lowercase()),
            Err(error) => refuse(&error.to_string()),
        }
    }

    /// `*`, or an origin as browsers send it: scheme, host and, if not the usual, port.
    pub(crate) fn web_origin(&self) -> Option<String> {
        let text = self.some_text()?;
        if text == "*" {
            return Some(text.to_owned());
        }
        match Url::parse(text).map(|url| url.origin()) {
            Ok(origin) if origin.is_tuple() && origin.ascii_serialization() == text => {
                Some(text.to_owned())
            }
            Ok(origin) if origin.is_tuple() => self.refuse(
                Finding::new(format!("`{}` is no origin as browsers send it", self.path))
                    .help(format!("write \"{}\"", origin.ascii_serialization())),
            ),
            _ => self.refuse(
                Finding::new(format!("`{}` is no origin: \"{text}\"", self.path))
                    .help("write \"https://\" and a host, or \"*\""),
            ),
        }
    }

    /// A path that starts with `/`, as it stands in a request: no query, no dot segments.
    pub(crate) fn url_path(&self) -> Option<String> {
        let text = self.some_text()?;
        let refuse = |help: &str| {
            self.refuse(
                Finding::new(format!("`{}` is no path prefix: \"{text}\"", self.path)).help(help),
            )
        };
        if !text.starts_with('/') {
            return refuse("it starts with `/`");
        }
        if text.contains(['?', '#']) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return refuse("percent-encode what is not plain ASCII; no query");
        }
        if text.split('/').any(|part| part == "." || part == "..") {
            return refuse("without `.` and `..`");
        }
        Some(text.to_owned())
    }

    /// A header's name, lower case.
    pub(crate) fn header_name(&self) -> Option<String> {
        let text = self.some_text()?;
        self.check_header_name(text)
    }

    /// The same for a name that is a key.
    pub(crate) fn check_header_name(&self, text: &str) -> Option<String> {
        // RFC 9110 §5.1: a field name is a token.
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if text.is_empty() || !text.bytes().all(token) {
            return self.refuse(
                Finding::new(format!("`{}` is no header name: \"{text}\"", self.path))
                    .help("letters, digits and `-`"),
            );
        }
        let name = text.to_ascii_lowercase();
        // RFC 9110 §7.6.1 and message framing: rules must not break the connection.
        const KEPT: [&str; 7] = [
            "connection",
            "content-length",
            "keep-alive",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
        ];
        if KEPT.contains(&name.as_str()) {
            return self.refuse(
                Finding::new(format!("the header \"{name}\" belongs to the connection"))
                    .help("it cannot be set or removed by a rule"),
            );
        }
        Some(name)
    }

    /// A header's value: RFC 9110 §5.5, visible ASCII, spaces and tabs inside.
    pub(crate) fn header_value(&self) -> Option<String> {
        let text = self.text()?;
        let sound = |b: u8| b.is_ascii_graphic() || b == b' ' || b == b'\t';
        if !text.bytes().all(sound) || text.trim() != text {
            return self.refuse(
                Finding::new(format!("`{}` is no header value", self.path))
                    .help("visible ASCII, spaces only inside"),
            );
        }
        Some(text.to_owned())
    }
}
