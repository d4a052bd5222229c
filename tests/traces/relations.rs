//! What is around what.

use std::{
    convert::Infallible,
    panic::Location,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use headcount::{Options, checkpoint, run, unblock};
use tracing::{Instrument, Span, info_span};

use crate::recorder::{trace, trace_here};

type Done = Result<(), Infallible>;

/// The same tree with each kind of opening.
macro_rules! tree_of {
    ($test:ident, $open:ident, $spawn:ident) => {
        #[test]
        fn $test() {
            let trace = trace(async || {
                let outer = Options::new().name("outer").$open(async |g| {
                    g.$spawn("one", async {
                        let inner = Options::new().name("inner").$open(async |g| {
                            g.$spawn("two", checkpoint());
                            Done::Ok(())
                        });
                        inner.await.unwrap();
                    });
                    Done::Ok(())
                });
                outer.instrument(info_span!("mine")).await.unwrap();
            });
            let chain = ["mine", "outer", "one", "inner", "two"];
            assert_eq!(trace.spans.len(), chain.len());
            assert_eq!(trace.parent("mine"), None);
            for around in chain.windows(2) {
                let parent = Some(trace.find(around[0]));
                assert_eq!(trace.parent(around[1]), parent, "{around:?}");
            }
            for (child, boundary) in [("one", "outer"), ("two", "inner")] {
                assert_eq!(trace.span(child).follows, [trace.find(boundary)]);
                assert_eq!(trace.span(child).span, "child");
                assert_eq!(trace.span(boundary).span, "boundary");
                assert_eq!(trace.span(boundary).get("kind"), stringify!($open));
            }
        }
    };
}

tree_of!(groups_and_children_nest_as_they_run, group, spawn_named);
tree_of!(
    scopes_and_inline_children_nest_as_they_run,
    scope,
    spawn_named
);
tree_of!(
    supervisors_and_children_nest_as_they_run,
    supervise,
    spawn_named
);

#[test]
fn a_run_and_its_children_on_threads_nest_as_they_run() {
    let trace = trace_here(|| {
        let outer = Options::new().name("outer").run(async |g| {
            for name in ["one", "two", "three"] {
                g.spawn_named(name, checkpoint());
            }
            g.spawn_blocking(|_| ());
            checkpoint().await;
            Done::Ok(())
        });
        outer.unwrap();
    });
    let outer = trace.find("outer");
    assert_eq!(trace.span("outer").get("kind"), "run");
    for name in ["one", "two", "three", "blocking"] {
        assert_eq!(trace.parent(name), Some(outer));
        assert_eq!(trace.span(name).follows, [outer]);
    }
}

#[test]
fn a_child_has_the_span_around_its_spawn_as_parent_and_follows_from_its_group() {
    let trace = trace(async || {
        let crew = Options::new().name("crew").group(async |g| {
            info_span!("mine").in_scope(|| g.spawn_named("one", checkpoint()));
            let sibling = g.clone();
            g.spawn_named("two", async move {
                sibling.spawn_named("three", checkpoint());
            });
            let ready = g.start(|started| async { started.send(()) });
            ready.instrument(info_span!("ready")).await.unwrap();
            Done::Ok(())
        });
        crew.await.unwrap();
    });
    let crew = trace.find("crew");
    assert_eq!(trace.parent("one"), Some(trace.find("mine")));
    assert_eq!(trace.parent("two"), Some(crew));
    assert_eq!(trace.parent("three"), Some(trace.find("two")));
    assert_eq!(trace.parent("task"), Some(trace.find("ready")));
    for name in ["one", "two", "three", "task"] {
        assert_eq!(trace.span(name).follows, [crew], "{name}");
    }
}

/// The name of the span that is current now.
fn here() -> Option<&'static str> {
    Span::current().metadata().map(|metadata| metadata.name())
}

/// Counts the drops that find themselves in a span of this name.
struct Dropped(&'static str, Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        if here() == Some(self.0) {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn every_poll_and_the_drop_are_inside_the_span() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let counted = dropped.clone();
    let traced = trace(|| {
        counted.store(0, Ordering::Relaxed);
        let [child, body, cut] =
            ["child", "boundary", "child"].map(|name| Dropped(name, counted.clone()));
        async move {
            let crew = Options::new().name("crew").group(async |g| {
                let _body = body;
                g.spawn_named("polled", async move {
                    let _child = child;
                    for _ in 0..3 {
                        assert_eq!(here(), Some("child"));
                        checkpoint().await;
                    }
                });
                let cut = g.spawn(async move {
                    let _cut = cut;
                    std::future::pending::<()>().await
                });
                checkpoint().await;
                cut.cancel();
                assert_eq!(here(), Some("boundary"));
                Done::Ok(())
            });
            crew.await.unwrap();
            assert_eq!(here(), None);
        }
    });
    assert_eq!(dropped.load(Ordering::Relaxed), 3);
    // Four polls, and the drop.
    assert_eq!(traced.span("polled").enters, 5);
}

#[test]
fn a_blocking_closure_runs_inside_the_span_of_its_child() {
    let threads = Arc::new(Mutex::new(Vec::new()));
    let list = threads.clone();
    let trace = trace(move || {
        let note = |list: &Arc<Mutex<Vec<_>>>| list.lock().unwrap().push(thread::current().id());
        let [one, two] = [list.clone(), list.clone()];
        async move {
            let crew = Options::new().name("crew").group(async |g| {
                g.spawn_blocking(move |_| note(&one));
                unblock(move || note(&two)).await;
                Done::Ok(())
            });
            crew.await.unwrap();
        }
    });
    let threads = threads.lock().unwrap();
    let closures = trace.spans.iter();
    let closures = closures.filter(|seen| seen.get("kind") == "blocking");
    let closures: Vec<_> = closures.collect();
    assert_eq!(closures.len(), 2);
    for closure in closures {
        let is_inside = threads.iter().any(|id| closure.threads.contains(id));
        assert!(is_inside, "{closure:#?}");
    }
}

#[test]
fn a_span_says_where_it_was_spawned_or_opened() {
    let mut lines = [0, 0];
    let trace = trace_here(|| {
        lines[0] = Location::caller().line() + 1;
        let outer = run(async |g| {
            lines[1] = Location::caller().line() + 1;
            g.spawn(checkpoint());
            Done::Ok(())
        });
        outer.unwrap();
    });
    for (kind, line) in ["run", "task"].into_iter().zip(lines) {
        let location = trace.span(kind).get("location");
        let start = format!("{}:{line}:", file!());
        let column = location.strip_prefix(&start);
        let column = column.unwrap_or_else(|| panic!("{location} is not at {start}"));
        assert!(column.parse::<u32>().is_ok());
    }
}
