//! HTTP/1.1, HTTP/2 and HTTP/3 as one request and one response.
//!
//! A [`Handler`] sees requests in one form and answers with [`ResponseBody`]; a [`Server`] for
//! each worker carries them. A process binds, builds TLS, starts its workers and waits:
//!
//! ```no_run
//! use std::{error::Error, path::Path, sync::Arc, time::Duration};
//!
//! use tokio_util::sync::CancellationToken;
//! use weir_config_lifecycle::Clock;
//! use weir_edge_http::{
//!     ConnectionInfo, Counters, Handler, Limits, Request, Response, ResponseBody, Server,
//!     Shutdown,
//! };
//! use weir_edge_transport::{
//!     quic::{self, QuicLimits},
//!     sockets::{self, Steering},
//!     tls::{Certificates, Keys, MinVersion, Tls},
//!     workers,
//! };
//!
//! struct Hello;
//!
//! impl Handler for Hello {
//!     async fn handle(&self, _: Request, _: &Arc<ConnectionInfo>) -> Response {
//!         Response::new(ResponseBody::full("hello\n"))
//!     }
//! }
//!
//! # async fn process(clock: Arc<dyn Clock>, unix_seconds: Arc<dyn Fn() -> u64 + Send + Sync>)
//! # -> Result<(), Box<dyn Error + Send + Sync>> {
//! const WORKERS: usize = 2;
//! let keys = Keys::load_or_make(Path::new("state/transport-keys"), unix_seconds)?;
//! let certificates = Certificates::load([("tls/edge.pem", "tls/edge.key")])?;
//! let tls = Tls::new(certificates, keys, MinVersion::Tls13)?;
//! let bound = sockets::bind("127.0.0.1:8443".parse()?, WORKERS, true)?;
//! let alt_svc = format!("h3=\":{}\"; ma=86400", bound.address.port());
//! let sockets: Vec<_> = bound.tcp.into_iter().zip(bound.udp).collect();
//! let sockets = std::sync::Mutex::new(sockets.into_iter().map(Some).collect::<Vec<_>>());
//! let (handler, counters) = (Arc::new(Hello), Arc::new(Counters::default()));
//! let shutdown = Shutdown::new(CancellationToken::new(), Duration::from_secs(30));
//! let order = shutdown.begin.clone();
//!
//! let running = workers::run(WORKERS, "edge", move |worker| {
//!     let (handler, counters) = (Arc::clone(&handler), Arc::clone(&counters));
//!     let server = Server::new(handler, Limits::default(), counters, Arc::clone(&clock))
//!         .worker(worker)
//!         .alt_svc(alt_svc.parse().expect("digits and quotes are a header value"));
//!     let sockets = sockets.lock().expect("nobody panics with it")[worker].take();
//!     let (tls, shutdown) = (tls.clone(), shutdown.clone());
//!     async move {
//!         let (tcp, udp) = sockets.expect("each worker starts once");
//!         // Sockets join the runtime of the thread that uses them.
//!         let listener = tokio::net::TcpListener::from_std(tcp)?;
//!         let steering = Steering { worker: u8::try_from(worker)?, generation: 0 };
//!         let endpoint = quic::endpoint(udp, &tls, steering, &QuicLimits::default())?;
//!         let (mut drained, quic) = tokio::join!(
//!             server.tls(listener, &tls, &shutdown),
//!             server.quic(endpoint, &shutdown),
//!         );
//!         drained += quic;
//!         Ok::<_, Box<dyn Error + Send + Sync>>(drained)
//!     }
//! })?;
//! // Later, on a signal:
//! order.cancel();
//! for ended in running.join().await {
//!     println!("{:?}", ended??);
//! }
//! # Ok(())
//! # }
//! ```

pub mod body;
pub mod client;
pub mod counters;
pub mod forwarded;
pub mod gate;
pub mod handler;
pub mod limits;
pub mod message;
pub mod outgoing;
pub mod pace;
pub mod proxy;
pub mod serve;
pub mod shutdown;
pub mod wire;

pub use body::{BodyError, RequestBody, ResponseBody};
pub use counters::{Counters, HandshakeFailure};
pub use gate::{Gate, GateLimits, Refused};
pub use handler::{ConnectionInfo, Handler, Protocol, Request, Response, TlsInfo};
pub use limits::Limits;
pub use message::{Excess, Malformed};
pub use outgoing::Outgoing;
pub use pace::Pace;
pub use serve::{Server, Slow};
pub use shutdown::{Drained, Shutdown};
pub use wire::{Fault, Flood};
