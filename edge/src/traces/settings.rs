//! What of the configuration a post needs, made once.

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use weir_config::edge::Traces as Told;
use weir_config_telemetry::traces::Resource;
use weir_edge_http::client::Target;

/// Where posts go, and what is the same of all of them.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) told: Told,
    pub(super) target: Target,
    pub(super) uri: Uri,
    /// Some are secrets: a field's debugger output does not show what is marked as one.
    pub(super) fields: HeaderMap,
    pub(super) resource: Resource,
}

impl Settings {
    /// None where no spans are made.
    pub(super) fn of(told: &Told, node: &str, site: &str) -> Option<Self> {
        let url = told.endpoint.as_ref()?;
        let uri: Uri = url.as_str().parse().ok()?;
        let host = url.host_str()?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let target = Target {
            tls: url.scheme() == "https",
            host: bare.to_owned(),
            port: url.port_or_known_default()?,
        };
        let mut fields = HeaderMap::new();
        for (name, value) in &told.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            let mut value = HeaderValue::from_str(value.expose()).ok()?;
            value.set_sensitive(true);
            fields.append(name, value);
        }
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        fields.insert(header::CONTENT_TYPE, protobuf);
        let agent = concat!("weir-edge/", env!("CARGO_PKG_VERSION"));
        fields.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(agent));
        let resource = Resource {
            attributes: vec![
                ("service.name", told.service_name.clone()),
                ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
                ("service.instance.id", node.to_owned()),
                ("weir.site", site.to_owned()),
            ],
            scope: (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")),
        };
        Some(Self { told: told.clone(), target, uri, fields, resource })
    }

    /// For people.
    pub(super) fn endpoint(&self) -> String {
        self.uri.to_string()
    }
}
