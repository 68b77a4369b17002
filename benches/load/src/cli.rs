//! The command line of `weir-load`, which campaigns also run as a process of their own.

use std::{
    ffi::OsString, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration,
};

use clap::Parser;
use weir_benches_content::Content;

use crate::{Plan, Protocol, Server, run, tls};

/// Puts load on a server and checks every byte. Prints one JSON object for each protocol.
/// Exits with 1 when bytes were wrong or exchanges failed.
#[derive(Debug, Parser)]
#[command(name = "weir-load")]
struct Arguments {
    /// Address of the server.
    #[arg(long)]
    connect: SocketAddr,
    /// Its host name.
    #[arg(long, default_value = "localhost")]
    name: String,
    /// PEM of the CA that signed its certificate; without it, plain HTTP/1.1.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// h1, h2, h3; several run one after another.
    #[arg(long, value_delimiter = ',', default_value = "h1")]
    protocol: Vec<Protocol>,
    /// Connections.
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Requests at once on each connection.
    #[arg(long, default_value_t = 1)]
    streams: usize,
    /// A path whose last segment names content (OBJECT-SIZE.bin); can be given many times.
    #[arg(long = "path")]
    paths: Vec<String>,
    /// Objects to make paths for, below --prefix.
    #[arg(long, default_value_t = 0)]
    objects: u64,
    /// Bytes in each of --objects.
    #[arg(long, default_value_t = 1 << 20)]
    size: u64,
    /// Path before the name of each of --objects, such as /t/TOKEN/vod/.
    #[arg(long, default_value = "/")]
    prefix: String,
    /// Share of range requests.
    #[arg(long, default_value_t = 0.0)]
    ranges: f64,
    /// Requests in all.
    #[arg(long, default_value_t = u64::MAX)]
    requests: u64,
    /// Seconds in all.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Seconds for one exchange.
    #[arg(long, default_value_t = 30.0)]
    deadline: f64,
    /// Oldest version that may be served.
    #[arg(long, default_value_t = 1)]
    oldest: u64,
    /// Newest version there is.
    #[arg(long, default_value_t = 1)]
    newest: u64,
    /// Seeds the choice of objects and ranges.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Parses `arguments` (the program's name first), runs, prints.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = Arguments::parse_from(arguments);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(load(&arguments)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("weir-load: {error}");
            ExitCode::from(2)
        }
    }
}

async fn load(arguments: &Arguments) -> Result<bool, Box<dyn std::error::Error>> {
    if !(0.0..=1.0).contains(&arguments.ranges) {
        return Err(format!("--ranges {} is not between 0 and 1", arguments.ranges).into());
    }
    let made = (1..=arguments.objects)
        .map(|object| Content::new(object, 1, arguments.size).name())
        .map(|name| format!("{}{name}", arguments.prefix));
    let paths: Vec<String> = arguments.paths.iter().cloned().chain(made).collect();
    let mut sound = true;
    for &protocol in &arguments.protocol {
        let tls = arguments.ca.as_deref().map(|ca| tls::config(ca, protocol)).transpose()?;
        let server = Server { address: arguments.connect, name: arguments.name.clone(), tls };
        let report = run::run(Plan {
            server: Arc::new(server),
            protocol,
            connections: arguments.connections,
            streams: arguments.streams,
            paths: paths.clone(),
            ranges: arguments.ranges,
            requests: arguments.requests,
            time: Duration::try_from_secs_f64(arguments.seconds)?,
            deadline: Duration::try_from_secs_f64(arguments.deadline)?,
            versions: (arguments.oldest, arguments.newest),
            seed: arguments.seed,
            headers: Vec::new(),
        })
        .await?;
        println!("{}", report.to_json());
        let good: u64 = [200, 206].iter().filter_map(|code| report.statuses.get(code)).sum();
        let clean = report.error_count() == 0 && good == report.requests && good > 0;
        sound &= clean && report.wrong.is_clean();
    }
    Ok(sound)
}
