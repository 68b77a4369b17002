//! One OS thread for each worker, each with a runtime of its own: what a connection needs stays
//! on its core.

use std::{any::Any, future::Future, io, sync::Arc, thread};

use tokio::{runtime, sync::oneshot};

/// A worker thread could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start worker {index}")]
pub struct SpawnError {
    /// Which one.
    pub index: usize,
    /// Why.
    pub source: io::Error,
}

/// A worker panicked; the message is what it said.
#[derive(Debug, thiserror::Error)]
#[error("worker {index} panicked: {message}")]
pub struct Panicked {
    /// Which one.
    pub index: usize,
    /// What it said.
    pub message: String,
}

/// Worker threads that run until their futures end.
#[derive(Debug)]
pub struct Workers<T> {
    results: Vec<oneshot::Receiver<Result<T, Panicked>>>,
}

/// Starts `count` threads called `name-0`, `name-1`, …, each running the future that `work`
/// makes for its index on a current-thread runtime.
pub fn run<F, W, T>(count: usize, name: &str, work: W) -> Result<Workers<T>, SpawnError>
where
    W: Fn(usize) -> F + Send + Sync + 'static,
    F: Future<Output = T>,
    T: Send + 'static,
{
    let work = Arc::new(work);
    let mut results = Vec::with_capacity(count);
    for index in 0..count {
        let failed = |source| SpawnError { index, source };
        let runtime =
            runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (done, result) = oneshot::channel();
        let work = Arc::clone(&work);
        thread::Builder::new()
            .name(format!("{name}-{index}"))
            .spawn(move || {
                let run = std::panic::AssertUnwindSafe(|| runtime.block_on(work(index)));
                let result = std::panic::catch_unwind(run)
                    .map_err(|payload| Panicked { index, message: message(payload.as_ref()) });
                // Nobody waits when the process is being torn down.
                let _ = done.send(result);
            })
            .map_err(failed)?;
        results.push(result);
    }
    Ok(Workers { results })
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}

impl<T> Workers<T> {
    /// What each worker returned, in order, when the last one has ended.
    pub async fn join(self) -> Vec<Result<T, Panicked>> {
        let mut ended = Vec::with_capacity(self.results.len());
        for (index, result) in self.results.into_iter().enumerate() {
            let vanished = |_| Panicked { index, message: "its thread vanished".into() };
            ended.push(result.await.map_err(vanished).and_then(|result| result));
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_worker_runs_on_its_thread() {
        let workers = run(3, "w", |index| async move {
            assert_ne!(index, 2, "the third one fails");
            tokio::task::yield_now().await;
            thread::current().name().map(str::to_owned)
        })
        .unwrap();
        let ended = workers.join().await;
        assert_eq!(ended[0].as_ref().unwrap().as_deref(), Some("w-0"));
        assert_eq!(ended[1].as_ref().unwrap().as_deref(), Some("w-1"));
        assert!(ended[2].as_ref().unwrap_err().to_string().contains("the third one fails"));
    }
}
