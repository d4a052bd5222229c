//! Guards and brackets.

use headcount::{Deferred, TaskGroup};

use super::Env;
use crate::programs::{
    grammar::{Block, Ends, Id, Release, second},
    ledger::{Ending, Event, Ledger, Oops, Tracked, Watched},
};

impl Env {
    pub(super) fn defer(&self, id: Id, release: Release) -> Deferred<Tracked> {
        self.ledger.note(Event::Deferred(id));
        let env = self.clone();
        headcount::defer(self.ledger.resource(id), move |resource| {
            env.release(id, release, resource)
        })
    }

    pub(super) fn bracket(
        &self,
        env: Env,
        acquire: u8,
        block: Block,
        release: Release,
    ) -> impl Future<Output = Result<Tracked, Oops>> + Send + use<> {
        let (id, taker, releaser) = (env.unit, env.clone(), env.clone());
        headcount::bracket(
            async move {
                taker.sleep(id, acquire).await;
                taker.ledger.note(Event::Deferred(second(id)));
                Ok(taker.ledger.resource(second(id)))
            },
            move |guard| {
                let (ledger, code) = (env.ledger.clone(), env.code(block, None));
                let holding = async move {
                    let result = code.await;
                    drop(guard);
                    result
                };
                Watched::new(&ledger, id, Box::pin(holding))
            },
            move |resource| releaser.release(second(id), release, resource),
        )
    }

    pub(super) fn release(
        self,
        id: Id,
        release: Release,
        resource: Tracked,
    ) -> impl Future<Output = Result<(), String>> + Send + use<> {
        /// Notes when the release is dropped half-way.
        struct Unfinished<'a>(&'a Ledger, Id);
        impl Drop for Unfinished<'_> {
            fn drop(&mut self) {
                self.0.note(Event::Cut(self.1));
            }
        }
        async move {
            let _resource = resource;
            self.ledger.note(Event::Releasing(id));
            let unfinished = Unfinished(&self.ledger, id);
            if release.nested {
                let env = self.clone();
                let inner = headcount::group(async move |g: TaskGroup<'static, Oops>| {
                    g.spawn(async move { env.sleep(id, release.takes).await });
                    Ok(())
                });
                let _ = inner.await;
            } else {
                self.sleep(id, release.takes).await;
            }
            // It owns nothing.
            std::mem::forget(unfinished);
            let ended = |ending| self.ledger.note(Event::Released(id, ending));
            match release.ends {
                Ends::Well => ended(Ending::Value),
                Ends::Failing => {
                    ended(Ending::Error(id));
                    return Err(format!("release {id}"));
                }
                Ends::Panicking => {
                    ended(Ending::Panic(id));
                    self.ledger.throw(id);
                }
            }
            Ok(())
        }
    }
}
