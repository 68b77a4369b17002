//! Serves one object from memory over HTTP/1.1, 2 and 3, to measure what the way out costs.
//!
//! `hot [ADDRESS [BYTES [WORKERS [CERTIFICATE]]]]`, by default `127.0.0.1:9443 1048576 1`. Each
//! request to any path gets the object. The certificate, for `localhost`, is written where the
//! fourth argument says, for clients that check it. Ends on SIGINT or SIGTERM and prints what it
//! has counted.
#![expect(clippy::print_stdout, reason = "it is a program for people")]

use std::{error::Error, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use weir_config_lifecycle::SystemClock;
use weir_edge_http::{
    ConnectionInfo, Counters, Handler, Limits, Protocol, Request, Response, ResponseBody, Server,
    Shutdown,
};
use weir_edge_transport::{
    quic::{self, QuicLimits},
    sockets::{self, Steering},
    tls::{Certificates, Keys, MinVersion, Tls},
    workers,
};

struct Object(Bytes);

impl Handler for Object {
    async fn handle(&self, _: Request, _: &Arc<ConnectionInfo>) -> Response {
        Response::new(ResponseBody::full(self.0.clone()))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |at: usize, default: &str| words.get(at).map_or(default, |word| word).to_owned();
    let address: SocketAddr = word(0, "127.0.0.1:9443").parse()?;
    let object = Bytes::from(vec![0x5a; word(1, "1048576").parse()?]);
    let count: usize = word(2, "1").parse()?;

    let folder = tempfile::tempdir()?;
    let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    std::fs::write(&chain, made.cert.pem())?;
    if let Some(path) = words.get(3) {
        std::fs::write(path, made.cert.pem())?;
    }
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    let tls = Tls::new(
        Certificates::load([(&chain, &key)])?,
        Keys::ephemeral(Arc::new(|| 0))?,
        MinVersion::Tls12,
    )?;

    let bound = sockets::bind(address, count, true)?;
    println!("listening on {}", bound.address);
    let sockets = bound.tcp.into_iter().zip(bound.udp);
    let sockets: Vec<_> = sockets.map(|pair| parking_lot::Mutex::new(Some(pair))).collect();
    let handler = Arc::new(Object(object));
    let counters = Arc::new(Counters::default());
    let begin = CancellationToken::new();
    let running = workers::run(count, "hot", {
        let (counters, begin) = (Arc::clone(&counters), begin.clone());
        move |index| {
            let (handler, counters) = (Arc::clone(&handler), Arc::clone(&counters));
            let clock = Arc::new(SystemClock);
            let server = Server::new(handler, Limits::default(), counters, clock).worker(index);
            let sockets = sockets[index].lock().take();
            let (tls, shutdown) =
                (tls.clone(), Shutdown::new(begin.clone(), Duration::from_secs(2)));
            async move {
                let (tcp, udp) = sockets.ok_or("started twice")?;
                let listener = tokio::net::TcpListener::from_std(tcp)?;
                let steering = Steering { worker: u8::try_from(index)?, generation: 0 };
                let endpoint = quic::endpoint(udp, &tls, steering, &QuicLimits::default())?;
                let (mut tcp, quic) = tokio::join!(
                    server.tls(listener, &tls, &shutdown),
                    server.quic(endpoint, &shutdown)
                );
                tcp += quic;
                Ok::<_, Box<dyn Error + Send + Sync>>(tcp)
            }
        }
    })?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        begin.cancel();
        for ended in running.join().await {
            println!("{ended:?}");
        }
        for protocol in [Protocol::H1, Protocol::H2, Protocol::H3] {
            let requests = counters.requests.of(protocol);
            println!("{} requests {requests}", protocol.as_str());
        }
        Ok(())
    })
}
