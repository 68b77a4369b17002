//! For what object and for whose request an upstream is asked. The fill engine knows neither
//! traces nor journals: what has to go with an ask goes with the upstream that is asked.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use tokio::sync::Semaphore;
use weir_config_telemetry::RequestId;
use weir_edge_cache::ObjectId;
use weir_edge_fill::upstream::{
    Filling, Upstream, UpstreamError, UpstreamRequest, UpstreamResponse,
};

use super::Trail;

/// Why somebody asks.
#[derive(Debug, Clone)]
pub(crate) struct Behalf {
    /// The place of the URL, whichever variant and method it is about.
    pub(crate) object: ObjectId,
    /// The request that asks; none where the node asks by itself.
    pub(crate) request: Option<RequestId>,
    /// Its trace, where that may be told.
    pub(crate) trail: Option<Arc<Trail>>,
}

tokio::task_local! {
    static BEHALF: Behalf;
}

/// On whose behalf the running task asks.
pub(crate) fn current() -> Option<Behalf> {
    BEHALF.try_with(Clone::clone).ok()
}

/// The same upstream, asked on somebody's behalf.
pub(crate) fn on_behalf(upstream: Arc<dyn Upstream>, behalf: Behalf) -> Arc<dyn Upstream> {
    Arc::new(OnBehalf { upstream, behalf })
}

#[derive(Debug)]
struct OnBehalf {
    upstream: Arc<dyn Upstream>,
    behalf: Behalf,
}

impl Upstream for OnBehalf {
    fn id(&self) -> &str {
        self.upstream.id()
    }

    fn slots(&self) -> Option<Arc<Semaphore>> {
        self.upstream.slots()
    }

    fn send(
        &self,
        request: UpstreamRequest,
    ) -> BoxFuture<'_, Result<UpstreamResponse, UpstreamError>> {
        BEHALF.scope(self.behalf.clone(), self.upstream.send(request)).boxed()
    }

    fn fill(
        &self,
        filling: Filling,
        request: UpstreamRequest,
    ) -> BoxFuture<'_, Result<UpstreamResponse, UpstreamError>> {
        BEHALF.scope(self.behalf.clone(), self.upstream.fill(filling, request)).boxed()
    }
}
