//! Clients that go on beside what a campaign does.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinSet;

use super::{
    viewer::{Viewer, Way},
    world::World,
};

/// Viewers, and what else goes on until they are told to end.
#[derive(Debug, Default)]
pub struct Crowd {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Crowd {
    /// So many viewers who go the `ways` in turn; their choices follow from `seed`.
    pub fn gather(
        count: usize,
        ways: &[Way],
        world: &Arc<World>,
        seed: u64,
        pause: Duration,
    ) -> Self {
        let mut crowd = Self::default();
        for number in 0..count {
            let way = ways[number % ways.len()].clone();
            let viewer = Viewer::new(way, Arc::clone(world), seed + number as u64, pause);
            crowd.tasks.spawn(viewer.watch(Arc::clone(&crowd.stop)));
        }
        crowd
    }

    /// Joins them; it has to look at [`Stop`] by itself.
    pub fn join<F>(&mut self, task: impl FnOnce(Stop) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = Stop(Arc::clone(&self.stop));
        self.tasks.spawn(task(stop));
    }

    /// Tells all of them to end, and does not wait.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits until all have ended.
    pub async fn leave(mut self) {
        self.stop();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Whether it is time to end.
#[derive(Debug, Clone)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// It is.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
