//! Cross-origin rules: preflights answered here, and the fields every answer carries, errors
//! too, since a browser reports an error without them as status 0.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use weir_edge_http::{Response, ResponseBody};

use crate::service::{Cors, Preset};

/// What a page may read. Players need `cache-status` never, people debugging them always;
/// Shaka and dash.js read CMSD.
const EXPOSED: &str = "age, cache-status, content-length, content-range, date, etag, \
                       server-timing, cmsd-static, cmsd-dynamic";

/// What an origin says to pages of other sites.
const OF_THE_ORIGIN: [&str; 7] = [
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-expose-headers",
    "access-control-max-age",
    "timing-allow-origin",
];

impl Cors {
    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        match &self.origins {
            None => Some(HeaderValue::from_static("*")),
            Some(list) => {
                let known = list.iter().any(|one| one.as_bytes() == origin.as_bytes());
                known.then(|| origin.clone())
            }
        }
    }

    /// Whether OPTIONS is a preflight rather than a question to the origin.
    pub fn is_preflight(headers: &HeaderMap) -> bool {
        headers.contains_key(header::ORIGIN)
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// The answer to a preflight. Browsers keep it for each URL, so its age matters.
    pub fn preflight(&self, request: &HeaderMap, preset: Preset) -> Response {
        let mut response = Response::new(ResponseBody::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        self.decorate(request, response.headers_mut());
        let headers = response.headers_mut();
        if self.allowed(request).is_some() {
            let asked = request.get(header::ACCESS_CONTROL_REQUEST_METHOD);
            let methods = match (preset, asked) {
                (Preset::Proxy, Some(asked)) => asked.clone(),
                _ => HeaderValue::from_static("GET, HEAD, OPTIONS"),
            };
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age_seconds.into());
            if let Some(asked) = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
                headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
            }
        }
        response
    }

    /// Fields of every answer to `request`, instead of what its origin says of other sites.
    pub fn decorate(&self, request: &HeaderMap, headers: &mut HeaderMap) {
        for name in OF_THE_ORIGIN {
            headers.remove(name);
        }
        if self.origins.is_some() {
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
        let Some(origin) = self.allowed(request) else { return };
        headers.insert("timing-allow-origin", origin.clone());
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let exposed = HeaderValue::from_static(EXPOSED);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
}
