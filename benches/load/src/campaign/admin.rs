//! What a running edge says of itself to operators, asked as an operator would.

use std::{collections::HashMap, net::SocketAddr, path::PathBuf, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::error::CampaignError;

const PATIENCE: Duration = Duration::from_secs(5);

/// One reading of `/metrics`.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    series: HashMap<String, f64>,
}

impl Metrics {
    /// Asks the management address.
    pub async fn read(address: SocketAddr) -> Result<Self, CampaignError> {
        let stream = timeout(PATIENCE, TcpStream::connect(address)).await.map_err(late)??;
        let request = format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\n");
        let (status, body) = exchange(stream, &request, "").await?;
        if status != 200 {
            return Err(CampaignError::Unfit(format!("/metrics answered {status}: {body}")));
        }
        Ok(Self::parse(&body))
    }

    fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let series = lines.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self { series: series.collect() }
    }

    /// The sum over all series of a family whose labels hold `label`, such as
    /// `result="hit_disk"`; all of them for the empty one.
    pub fn sum(&self, family: &str, label: &str) -> f64 {
        let of_family = |name: &str| {
            let rest = name.strip_prefix(family);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
        };
        let wanted = self.series.iter().filter(|(name, _)| of_family(name) && name.contains(label));
        wanted.map(|(_, value)| value).sum()
    }
}

/// An operator at the admin socket. Clones ask the same.
#[derive(Debug, Clone)]
pub struct Operator {
    socket: PathBuf,
    base: String,
}

impl Operator {
    /// At `socket`; `base` is before every path in a URL.
    pub fn new(socket: PathBuf, base: String) -> Self {
        Self { socket, base }
    }

    /// What is answered to a GET of `path`.
    pub async fn get(&self, path: &str) -> Result<serde_json::Value, CampaignError> {
        let stream = timeout(PATIENCE, UnixStream::connect(&self.socket)).await.map_err(late)??;
        let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\n");
        let (status, answer) = exchange(stream, &request, "").await?;
        let unfit = |why: String| CampaignError::Unfit(format!("{path} was answered {why}"));
        if status != 200 {
            return Err(unfit(format!("{status}: {answer}")));
        }
        serde_json::from_str(&answer).map_err(|error| unfit(format!("no JSON: {error}")))
    }

    /// What is answered to a purge; `order` is its body. When this is well, the answer has come:
    /// the purge is acknowledged.
    pub async fn order(
        &self,
        order: &serde_json::Value,
    ) -> Result<serde_json::Value, CampaignError> {
        let stream = timeout(PATIENCE, UnixStream::connect(&self.socket)).await.map_err(late)??;
        let request = "POST /v1/cache/purge HTTP/1.1\r\nhost: admin\r\n\
                       content-type: application/json\r\n";
        let (status, answer) = exchange(stream, request, &order.to_string()).await?;
        let unfit =
            |why: String| CampaignError::Unfit(format!("the purge {order} was answered {why}"));
        if status != 200 {
            return Err(unfit(format!("{status}: {answer}")));
        }
        serde_json::from_str(&answer).map_err(|error| unfit(format!("no JSON: {error}")))
    }

    /// Removes what the origin serves as `path`.
    pub async fn purge(&self, path: &str) -> Result<(), CampaignError> {
        let url = self.url(path);
        self.order(&serde_json::json!({ "url": url, "dry_run": false })).await.map(drop)
    }

    /// What clients ask for who want what the origin serves as `path`.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

/// One request on a connection of its own: status and body.
async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &str,
    body: &str,
) -> Result<(u16, String), CampaignError> {
    let length = body.len();
    let request = format!("{request}connection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    let mut answer = Vec::new();
    let talk = async {
        stream.write_all(request.as_bytes()).await?;
        stream.read_to_end(&mut answer).await
    };
    timeout(PATIENCE, talk).await.map_err(late)??;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    // None when the server was killed in the middle.
    let status = status.ok_or_else(|| CampaignError::Unfit("the answer has no status".into()))?;
    Ok((status, body.to_owned()))
}

fn late(_: tokio::time::error::Elapsed) -> CampaignError {
    CampaignError::Unfit(format!("the edge does not answer its operator within {PATIENCE:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_family_and_label() {
        let text = "# HELP a x\na 1\na_total{r=\"x\",c=\"2xx\"} 2\na_total{r=\"y\"} 3.5\n";
        let metrics = Metrics::parse(text);
        let check = |family, label, expected: f64| {
            assert_eq!(metrics.sum(family, label), expected, "{family} {label}");
        };
        check("a", "", 1.0);
        check("a_total", "", 5.5);
        check("a_total", "r=\"x\"", 2.0);
        check("b", "", 0.0);
    }
}
