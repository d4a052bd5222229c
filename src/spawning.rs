//! What `TaskGroup` and `Scope` have in common: spawning and cancelling.

use std::panic::Location;

use crate::kernel::{info::Info, node::Node};

/// A group's counters, as its kernel keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupStats {
    /// Children that were ever let in.
    pub spawned: u64,
    /// Children that have not ended, those that wait in line under a limit included.
    pub living: usize,
    /// The most children that lived at one time. Of as many as 64 one may be missing, of 128 two, and
    /// so on.
    pub peak: usize,
}

impl GroupStats {
    pub(crate) fn of(node: &Node) -> Self {
        let (spawned, living, peak) = node.stats();
        GroupStats {
            spawned,
            living,
            peak,
        }
    }
}

#[inline]
pub(crate) fn info(name: Option<String>, location: &'static Location<'static>) -> Info {
    Info::new(name.map(String::into_boxed_str), location)
}

/// Writes the methods that both handles have. `$open` is how examples open one.
macro_rules! spawning {
    ($handle:ident, $open:literal) => {
        impl<'env, E: std::fmt::Debug + Send + 'env> $handle<'env, E> {
            /// Spawns a child. It is scheduled, never polled inside this call.
            ///
            /// A child returns `Result<T, E>`, `()` or never. Its failure or panic cancels the
            /// group. The group waits for it, whatever becomes of the handle. For a future with another
            /// error type than that of the group there is
            /// [a recipe](crate::recipes#a-child-that-returns-ioresult-in-an-anyhow-group).
            ///
            /// Under a [limit](crate::Options::limit) it waits in line until a place is free. If the
            /// group has ended or is being cancelled, the future is dropped here, unpolled, and the
            /// handle says cancelled.
            ///
            #[doc = concat!("```\n# fn main() { async_std::task::block_on(async {\n", $open, "(async |g| {")]
            ///     let answer = g.spawn(async { Ok(42) });
            ///     assert_eq!(answer.await.unwrap(), 42);
            ///     Ok::<_, std::io::Error>(())
            /// })
            /// # .await.unwrap() }) }
            /// ```
            #[track_caller]
            pub fn spawn<O, F>(&self, future: F) -> JoinHandle<O::Value>
            where
                O: IntoOutcome<E>,
                O::Value: Send + 'env,
                F: Future<Output = O> + Send + 'env,
            {
                self.spawn_as(spawning::info(None, Location::caller()), Ask::Queue, future)
            }

            /// [`spawn`](Self::spawn) with a name, which errors and reasons then show.
            #[track_caller]
            pub fn spawn_named<O, F>(
                &self,
                name: impl Into<String>,
                future: F,
            ) -> JoinHandle<O::Value>
            where
                O: IntoOutcome<E>,
                O::Value: Send + 'env,
                F: Future<Output = O> + Send + 'env,
            {
                let info = spawning::info(Some(name.into()), Location::caller());
                self.spawn_as(info, Ask::Queue, future)
            }

            /// Spawns a child that serves the others: it is cancelled once the body and all ordinary
            /// children have ended; one that comes when only daemons are left is never polled. Its
            /// failure is a failure like any other.
            ///
            #[doc = concat!("```\n# fn main() { async_std::task::block_on(async {\n", $open, "(async |g| {")]
            ///     g.spawn_daemon(async { loop { headcount::checkpoint().await } });
            ///     g.spawn(async { /* the work */ });
            ///     Ok::<_, std::io::Error>(())
            /// })
            /// # .await.unwrap() }) }
            /// ```
            #[track_caller]
            pub fn spawn_daemon<O, F>(&self, future: F) -> JoinHandle<O::Value>
            where
                O: IntoOutcome<E>,
                O::Value: Send + 'env,
                F: Future<Output = O> + Send + 'env,
            {
                let info = spawning::info(None, Location::caller());
                self.spawn_as(info, Ask::Daemon, future)
            }

            /// [`spawn`](Self::spawn), or the future back if no place is free under the
            /// [limit](crate::Options::limit).
            ///
            /// # Errors
            ///
            /// [`TrySpawnError`] with the future if the limit is reached, or if the group has ended
            /// or is being cancelled.
            #[track_caller]
            pub fn try_spawn<O, F>(
                &self,
                future: F,
            ) -> Result<JoinHandle<O::Value>, TrySpawnError<F>>
            where
                O: IntoOutcome<E>,
                O::Value: Send + 'env,
                F: Future<Output = O> + Send + 'env,
            {
                let info = spawning::info(None, Location::caller());
                let home = self.home();
                let luggage = Luggage::new(What::Task, self.book.node(), &info);
                let future = luggage.around::<E, _>(future);
                match spawn::spawn(&self.book, &home, Ask::Try, info, future) {
                    Ok(claim) => Ok(JoinHandle::new(claim)),
                    Err((refused, _, future)) => {
                        let future = crate::carry::unwrap(future);
                        Err(TrySpawnError::new(refused == Refused::Full, future))
                    }
                }
            }

            /// Waits for a place under the [limit](crate::Options::limit), then spawns. This is how
            /// a fast producer is held back: `spawn` would let the line grow.
            ///
            /// If the group closes meanwhile, the future is dropped and the handle says cancelled.
            ///
            /// # Cancel safety
            ///
            /// Dropping it drops the future, and gives its place in line to the next. A forgotten one
            /// keeps its place until the code in which it waited has ended; if that waits for a place
            /// itself, or for a child in line, it waits for ever.
            #[allow(clippy::async_yields_async, reason = "the wait is for a place, not for the child")]
            #[track_caller]
            pub fn spawn_when_free<O, F>(
                &self,
                future: F,
            ) -> impl Future<Output = JoinHandle<O::Value>>
            where
                O: IntoOutcome<E>,
                O::Value: Send + 'env,
                F: Future<Output = O> + Send + 'env,
            {
                let info = spawning::info(None, Location::caller());
                async move {
                    let line = Line::new(self.book.node(), info.location());
                    match line.await {
                        true => self.spawn_as(info, Ask::Granted, future),
                        false => self.spawn_as(info, Ask::Queue, future),
                    }
                }
            }

            pub(crate) fn spawn_as<O, F>(
                &self,
                info: Info,
                ask: Ask,
                future: F,
            ) -> JoinHandle<O::Value>
            where
                O: IntoOutcome<E>,
                O::Value: Send + 'env,
                F: Future<Output = O> + Send + 'env,
            {
                let what = match ask {
                    Ask::Daemon => What::Daemon,
                    Ask::Queue | Ask::Try | Ask::Granted => What::Task,
                };
                let luggage = Luggage::new(what, self.book.node(), &info);
                self.spawn_packed(info, ask, luggage.around::<E, _>(future))
            }

            /// Spawns what has its luggage already, or none.
            pub(crate) fn spawn_packed<O, F>(&self, info: Info, ask: Ask, future: F) -> JoinHandle<O::Value>
            where
                O: IntoOutcome<E>,
                O::Value: Send + 'env,
                F: Future<Output = O> + Send + 'env,
            {
                let home = self.home();
                let claim = spawn::spawn_or_drop(&self.book, &home, ask, info, future);
                JoinHandle::new(claim)
            }

            /// Cancels the body and every child. May be called from any thread and again; it never
            /// waits and drops nothing itself. The opener returns once everybody has ended.
            pub fn cancel(&self) {
                self.book.node().request(CancelReason::explicit(None));
            }

            /// [`cancel`](Self::cancel) with a reason for those who look.
            pub fn cancel_with(&self, reason: impl Into<String>) {
                let reason = CancelReason::explicit(Some(reason.into()));
                self.book.node().request(reason);
            }

            /// Asks everything below to come to an end in its own time, and cancels what is left
            /// when `grace` has passed. The opener's own await waits for the end.
            ///
            /// From now on [`cancelled`](crate::cancelled) resolves in every task below, and
            /// [`is_shutting_down`](Self::is_shutting_down) is true; nothing is cut before the grace
            /// is over. Releases (see [`defer`](crate::defer)) of what is cancelled then still run;
            /// [`Options::grace`](crate::Options::grace) bounds them. Of several stops, of this
            /// group or of those around it, the earliest binds.
            ///
            #[doc = concat!("```\n# fn main() { async_std::task::block_on(async {\n", $open, "(async |g| {")]
            ///     g.spawn(async {
            ///         headcount::cancelled().await; // asked to stop
            ///         /* finish in order */
            ///     });
            ///     g.shutdown(std::time::Duration::from_secs(30));
            ///     Ok::<_, std::io::Error>(())
            /// })
            /// # .await.unwrap() }) }
            /// ```
            pub fn shutdown(&self, grace: std::time::Duration) {
                self.book.node().stop(grace);
            }

            /// Has the group, or one around it, been asked to [`shutdown`](Self::shutdown)?
            pub fn is_shutting_down(&self) -> bool {
                self.book.node().is_shutting_down()
            }

            /// Spawns a child that has to get ready before the caller goes on: waits until it calls
            /// [`Started::send`](crate::Started::send), and gives what it sent.
            ///
            /// Until then the child belongs to the caller: its error or panic comes out here and
            /// does not touch the group, and a cancellation of the caller ends it. From then on it
            /// is a child of this group like any other. It counts in the group, and is cancelled
            /// with it, from the first poll of this future on; under a
            /// [limit](crate::Options::limit) it may have to wait in line.
            ///
            #[doc = concat!("```\n# fn main() { async_std::task::block_on(async {\n", $open, "(async |g| {")]
            ///     let port = g.start(|started| async move {
            ///         started.send(8080); // bound and listening
            ///         /* serve */
            ///     });
            ///     assert_eq!(port.await.unwrap(), 8080);
            ///     Ok::<_, std::io::Error>(())
            /// })
            /// # .await.unwrap() }) }
            /// ```
            ///
            /// # Errors
            ///
            /// [`StartError`](crate::StartError) if the child failed, was cancelled, or ended before
            /// it had started.
            ///
            /// # Panics
            ///
            /// With the panic of the child, if that comes before it has started.
            ///
            /// # Cancel safety
            ///
            /// Dropped before the child has started, this cancels it, and the boundary around waits
            /// for that.
            #[track_caller]
            pub fn start<V, O, F, Fut>(
                &self,
                child: F,
            ) -> impl Future<Output = Result<V, crate::error::StartError<E>>>
            where
                V: Send + 'env,
                F: FnOnce(crate::start::Started<V>) -> Fut,
                Fut: Future<Output = O> + Send + 'env,
                O: IntoOutcome<E>,
            {
                let info = spawning::info(None, Location::caller());
                let counted = matches!(self.home(), Home::Runtime);
                let pack = |info: &_| Luggage::new(What::Task, self.book.node(), info);
                crate::start::start(info.clone(), counted, child, pack, move |future| {
                    self.spawn_packed(info, Ask::Queue, future)
                })
            }

            /// Spawns a child that produces the items of a stream, and gives the stream.
            ///
            /// The child runs ahead of its reader by `capacity` items, and then waits; the memory for these is
            /// allocated here, at once. When the stream is dropped the child is cancelled, and the group waits
            /// for it and its releases; a stream that is forgotten leaves it waiting for a reader. Its failure is that of any child. Other than the streams of
            /// [`map_concurrent`](crate::map_concurrent), this one may be polled first under a timeout, and
            /// then elsewhere: the child belongs to the group.
            ///
            #[doc = concat!("```\n# fn main() { async_std::task::block_on(async {\nuse futures_util::TryStreamExt;\n\n", $open, "(async |g| {")]
            ///     let mut pages = g.spawn_stream(2, async |feed| {
            ///         for page in 1..=3 {
            ///             feed.send(page).await; // fetched meanwhile
            ///         }
            ///         Ok(())
            ///     });
            ///     let mut sum = 0;
            ///     while let Some(page) = pages.try_next().await? {
            ///         sum += page;
            ///     }
            ///     assert_eq!(sum, 6);
            ///     Ok::<_, headcount::JoinError>(())
            /// })
            /// # .await.unwrap() }) }
            /// ```
            ///
            /// # Panics
            ///
            /// If `capacity` is 0, or more than could be allocated anywhere. And with a panic of calling `producer`,
            /// which happens in this call; a panic of the future that it returns is that of a child.
            #[cfg(not(loom))]
            #[track_caller]
            pub fn spawn_stream<T, O, F, Fut>(
                &self,
                capacity: usize,
                producer: F,
            ) -> crate::produce::Produced<T>
            where
                T: Send + 'env,
                F: FnOnce(crate::produce::Feed<T>) -> Fut,
                Fut: Future<Output = O> + Send + 'env,
                O: IntoOutcome<E>,
            {
                let (feed, produced) = crate::produce::channel(capacity);
                let child = futures_util::FutureExt::map(producer(feed), |outcome: O| {
                    outcome.into_outcome().map(drop)
                });
                let info = spawning::info(None, Location::caller());
                produced(self.spawn_as(info, Ask::Queue, child))
            }

            /// Spawns the daemon that turns signals of the process into a stop of this group.
            #[cfg(all(feature = "signal", not(loom)))]
            pub(crate) fn heed(&self, heed: crate::signal::Heed) {
                let child = heed.child(self.book.node().clone());
                drop(self.spawn_as(heed.info(), Ask::Daemon, child));
            }

            /// Has the group been asked to end, by `cancel`, a failure, its deadline, or from
            /// outside?
            pub fn is_cancelled(&self) -> bool {
                self.book.node().is_cancelled()
            }

            /// How many children there were and are.
            pub fn stats(&self) -> GroupStats {
                GroupStats::of(self.book.node())
            }
        }

        impl<E> Clone for $handle<'_, E> {
            fn clone(&self) -> Self {
                self.share()
            }
        }

        impl<E> std::fmt::Debug for $handle<'_, E> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let node = self.book.node();
                f.debug_struct(stringify!($handle))
                    .field("name", &node.name)
                    .field("location", &node.location)
                    .field("stats", &GroupStats::of(node))
                    .finish()
            }
        }
    };
}

pub(crate) use spawning;
