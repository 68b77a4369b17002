//! Grafana's JSON from the tables: the eight figures first, then a panel for every family.

use serde_json::{Value, json};
use weir_config_telemetry::{
    Family, Kind,
    overview::{FIGURES, Unit},
};

/// Where a family belongs, by the first of these beginnings that its name has.
const EDGE_ROWS: [(&str, &[&str]); 7] = [
    (
        "Configuration and node",
        &["edge_config_", "edge_build", "edge_start", "edge_clock", "edge_cert"],
    ),
    (
        "Upstreams and fills",
        &["edge_origin_", "edge_fill", "edge_coalesced", "edge_left_behind", "edge_stale"],
    ),
    ("Disks", &["edge_disk_", "edge_scrub_", "edge_admitted", "edge_refused", "edge_not_admitted"]),
    ("Cache", &["edge_cache_", "edge_purge", "edge_variants", "edge_warm_"]),
    ("Refusals", &["edge_shed", "edge_http", "edge_token", "edge_request_errors", "edge_aborted"]),
    (
        "Clients",
        &[
            "edge_requests",
            "edge_sent",
            "edge_ttf",
            "edge_ttl",
            "edge_connections",
            "edge_inflight",
        ],
    ),
    ("Everything else", &["edge_"]),
];
/// Read from the top.
const ORDER: [&str; 7] = [
    "Clients",
    "Upstreams and fills",
    "Cache",
    "Disks",
    "Refusals",
    "Configuration and node",
    "Everything else",
];

fn row_of(family: &Family) -> &'static str {
    let has = |starts: &[&str]| starts.iter().any(|start| family.name.starts_with(start));
    EDGE_ROWS.iter().find(|(_, starts)| has(starts)).map_or("Everything else", |(row, _)| row)
}

/// Panels one after another, 24 columns wide.
struct Sheet {
    panels: Vec<Value>,
    x: u64,
    y: u64,
    height: u64,
}

impl Sheet {
    fn line(&mut self) {
        if self.x > 0 {
            self.y += self.height;
        }
        (self.x, self.height) = (0, 0);
    }

    fn put(&mut self, mut panel: Value, width: u64, height: u64) {
        if self.x + width > 24 {
            self.line();
        }
        panel["id"] = json!(self.panels.len() + 1);
        panel["gridPos"] = json!({ "x": self.x, "y": self.y, "w": width, "h": height });
        self.x += width;
        self.height = self.height.max(height);
        self.panels.push(panel);
    }

    fn row(&mut self, title: &str) {
        self.line();
        self.put(json!({ "type": "row", "title": title, "collapsed": false, "panels": [] }), 24, 1);
        self.line();
    }
}

/// Of the chosen nodes alone, whatever an expression sums over.
fn of_nodes(expr: &str, build: &str) -> String {
    format!("({expr}) and on (instance) {build}{{instance=~\"$node\"}}")
}

fn target(expr: &str, legend: &str, id: &str) -> Value {
    json!({
        "datasource": { "type": "prometheus", "uid": "${source}" },
        "expr": expr, "legendFormat": legend, "refId": id,
    })
}

fn panel(title: &str, about: &str, unit: &str, targets: &[Value]) -> Value {
    json!({
        "type": "timeseries", "title": title, "description": about,
        "datasource": { "type": "prometheus", "uid": "${source}" },
        "fieldConfig": {
            "defaults": {
                "unit": unit, "min": 0,
                "custom": { "lineWidth": 1, "fillOpacity": 8, "showPoints": "never" },
            },
            "overrides": [],
        },
        "options": {
            "legend": { "displayMode": "list", "placement": "bottom" },
            "tooltip": { "mode": "multi", "sort": "desc" },
        },
        "targets": targets,
    })
}

fn unit(family: &Family) -> &'static str {
    let name = family.name;
    match family.kind {
        Kind::Counter if name.ends_with("_bytes_total") => "Bps",
        Kind::Counter => "ops",
        Kind::Histogram(_) => "s",
        _ if name.ends_with("_bytes") => "bytes",
        _ if name.ends_with("_ratio") => "percentunit",
        // Points in time are asked for as times from or to now.
        _ if name.ends_with("_seconds") => "s",
        _ => "short",
    }
}

fn of_family(family: &Family, build: &str) -> Value {
    let labels = family.labels.join(", ");
    let by = if labels.is_empty() { "instance".to_owned() } else { format!("instance, {labels}") };
    let mut legend = "{{instance}}".to_owned();
    for label in family.labels {
        legend.push_str(&format!(" {{{{{label}}}}}"));
    }
    let name = family.name;
    let ask = |expr: &str, legend: &str, id: &str| target(&of_nodes(expr, build), legend, id);
    let targets = match family.kind {
        Kind::Counter => {
            vec![ask(&format!("sum by ({by}) (rate({name}[$__rate_interval]))"), &legend, "A")]
        }
        Kind::Histogram(_) => [("0.5", "half", "A"), ("0.99", "99 %", "B")]
            .map(|(part, word, id)| {
                let rate = format!("rate({name}_bucket[$__rate_interval])");
                let sum = format!("histogram_quantile({part}, sum by ({by}, le) ({rate}))");
                ask(&sum, &format!("{legend} {word}"), id)
            })
            .into(),
        _ if name == "edge_certificate_not_after_seconds" => {
            let left = format!("{name} - on (instance) group_left () edge_clock_seconds");
            vec![ask(&left, &legend, "A")]
        }
        _ if name == "edge_start_time_seconds" => {
            vec![ask(&format!("time() - {name}"), &legend, "A")]
        }
        _ if name == "edge_clock_seconds" => {
            vec![ask(&format!("{name} - timestamp({name})"), &legend, "A")]
        }
        _ => vec![ask(name, &legend, "A")],
    };
    let mut panel = panel(name, family.help, unit(family), &targets);
    if name == "edge_clock_seconds" {
        // A clock may be behind.
        panel["fieldConfig"]["defaults"]["min"] = Value::Null;
    }
    panel
}

fn sheet(title: &str, uid: &str, build: &str, panels: &[Value]) -> String {
    let dashboard = json!({
        "title": title, "uid": uid, "tags": ["weir"], "schemaVersion": 38, "version": 1,
        "editable": true, "graphTooltip": 1, "refresh": "30s", "timezone": "browser",
        "time": { "from": "now-3h", "to": "now" },
        "templating": { "list": [
            { "name": "source", "type": "datasource", "query": "prometheus", "label": "Source" },
            {
                "name": "node", "type": "query", "label": "Node", "multi": true, "includeAll": true,
                "allValue": ".*", "current": { "text": ["All"], "value": ["$__all"] },
                "datasource": { "type": "prometheus", "uid": "${source}" },
                "query": { "query": format!("label_values({build}, instance)"), "refId": "node" },
                "refresh": 2, "sort": 1,
            },
        ] },
        "annotations": { "list": [] }, "links": [], "panels": panels,
    });
    let mut text = serde_json::to_string_pretty(&dashboard).expect("keys are strings");
    text.push('\n');
    text
}

/// The dashboard of edges.
pub(super) fn edge(families: &[&Family]) -> String {
    const BUILD: &str = "edge_build_info";
    let mut sheet_of = Sheet { panels: Vec::new(), x: 0, y: 0, height: 0 };
    sheet_of.row("The eight figures");
    for figure in FIGURES {
        let (unit, query) = match figure.unit {
            Unit::BytesPerSecond => ("bps", format!("8 * {}", figure.query)),
            Unit::Ratio => ("percentunit", figure.query.to_owned()),
            Unit::Seconds => ("s", figure.query.to_owned()),
        };
        let expr = of_nodes(&query.replace("$over", "$__rate_interval"), BUILD);
        let targets = vec![target(&expr, "{{instance}}", "A")];
        sheet_of.put(panel(figure.title, figure.meaning, unit, &targets), 6, 7);
    }
    for row in ORDER {
        let of_row: Vec<_> = families.iter().filter(|family| row_of(family) == row).collect();
        if of_row.is_empty() {
            continue;
        }
        sheet_of.row(row);
        for family in of_row {
            sheet_of.put(of_family(family, BUILD), 8, 7);
        }
    }
    sheet("Weir edge", "weir-edge", BUILD, &sheet_of.panels)
}

/// The dashboard of origins.
pub(super) fn origin(families: &[&Family]) -> String {
    const BUILD: &str = "origin_build_info";
    let mut sheet_of = Sheet { panels: Vec::new(), x: 0, y: 0, height: 0 };
    for family in families {
        sheet_of.put(of_family(family, BUILD), 8, 7);
    }
    sheet("Weir origin", "weir-origin", BUILD, &sheet_of.panels)
}
