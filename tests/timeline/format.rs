//! The record of a program. `record` checks for each that it is what the format asks for, and that slices
//! of a lane do not overlap unless one is inside the other.

use std::{
    future::pending,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use futures_util::FutureExt;
use headcount::{Options, checkpoint, group, run, time::sleep, timeline::Timeline, unblock};
use tracing::subscriber;
use tracing_subscriber::layer::SubscriberExt;

use crate::record::{Paper, Record, recorded, recorded_in_sim};

type Done = Result<(), &'static str>;

#[test]
fn every_child_has_a_slice_in_its_group_with_all_its_polls_inside() {
    let record = recorded_in_sim(async {
        let crew = Options::new().name("crew").group(async |g| {
            for number in 0..20 {
                g.spawn_named(format!("child {number}"), async move {
                    for _ in 0..number {
                        checkpoint().await;
                    }
                });
            }
            let inner = Options::new().name("inner").scope(async |s| {
                s.spawn_named("inline", checkpoint());
                Done::Ok(())
            });
            inner.await.unwrap();
            Done::Ok(())
        });
        crew.await.unwrap();
    });
    assert_eq!(record.of("child").count(), 21);
    let crew = record.named("crew");
    let title = &record.names[&crew.pid];
    assert!(
        title.starts_with("group crew (tests/timeline/format.rs:"),
        "{title}"
    );
    assert_eq!(record.named("inline").pid, record.named("inner").pid);
    for number in 0..20 {
        let name = format!("child {number}");
        let child = record.named(&name);
        assert_eq!(child.pid, crew.pid);
        assert_eq!(child.outcome(), "ok");
        assert_eq!(child.arguments["kind"], "task");
        let polls = record
            .of("poll")
            .filter(|poll| poll.arguments["of"] == name);
        let polls: Vec<_> = polls.collect();
        // And the drop of its future.
        assert_eq!(polls.len(), number + 2);
        for poll in polls {
            assert_eq!((poll.pid, poll.tid), (child.pid, child.tid));
            assert!(child.from <= poll.from && poll.to <= child.to);
        }
    }
}

#[test]
fn lanes_are_used_again() {
    let record = recorded_in_sim(async {
        let crew = Options::new().name("crew").limit(2).group(async |g| {
            for _ in 0..50 {
                g.spawn_when_free(checkpoint()).await;
            }
            Done::Ok(())
        });
        crew.await.unwrap();
    });
    assert_eq!(record.of("child").count(), 50);
    let lanes = record.of("child").map(|child| child.tid).max();
    assert!(lanes.is_some_and(|lanes| lanes <= 3), "{lanes:?}");
}

#[test]
fn outcomes_and_requests_are_told() {
    let record = recorded_in_sim(async {
        let failing = Options::new().name("failing").group(async |g| {
            g.spawn_named("idle", pending::<Done>());
            sleep(Duration::from_secs(1)).await;
            g.spawn_named("bad \"one\"", async { Done::Err("no route") });
            pending::<Done>().await
        });
        assert!(failing.await.is_err());
        let soon = headcount::Instant::now() + Duration::from_secs(1);
        let late = Options::new().name("late").deadline(soon);
        let late = late.group(async |_| pending::<Done>().await);
        assert!(late.await.is_err());
        let stopped = Options::new().name("stopped").group(async |g| {
            g.shutdown(Duration::ZERO);
            pending::<Done>().await
        });
        assert!(stopped.await.is_err());
    });
    assert_eq!(record.named("bad \"one\"").outcome(), "failed");
    let idle = record.named("idle");
    assert_eq!(idle.outcome(), "cancelled");
    assert_eq!(
        idle.arguments["reason"],
        "a child failed (by `bad \"one\"`)"
    );
    let marks = |name: &str| {
        let pid = record.named(name).pid;
        let marks = record.marks.iter().filter(move |mark| mark.pid == pid);
        marks.map(|mark| mark.name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(marks("failing"), ["cancel"]);
    assert_eq!(marks("late"), ["deadline"]);
    assert_eq!(marks("stopped"), ["stop", "cancel"]);
    assert_eq!(record.marks[0].arguments["request"], "SiblingFailed");
}

#[test]
fn children_on_threads_and_closures_keep_to_their_lanes() {
    let json = recorded(|| {
        let crew = Options::new().name("crew").run(async |g| {
            for number in 0..200 {
                match number % 4 {
                    0 => drop(g.spawn_blocking(|_| std::thread::yield_now())),
                    _ => drop(g.spawn(async { checkpoint().await })),
                }
            }
            for _ in 0..20 {
                unblock(std::thread::yield_now).await;
            }
            Done::Ok(())
        });
        crew.unwrap();
    });
    let record = Record::read(&json);
    assert_eq!(record.of("child").count(), 220);
    let blocking = record
        .of("child")
        .filter(|child| child.arguments["kind"] == "blocking");
    assert_eq!(blocking.count(), 70);
}

#[test]
fn a_record_that_a_panic_ends_is_complete_and_says_who_lived() {
    let paper = Paper::default();
    let (timeline, recording) = Timeline::new(paper.clone());
    let subscriber = tracing_subscriber::registry().with(timeline);
    subscriber::with_default(subscriber, || {
        let mut kept = Box::pin(Options::new().name("kept").group(async |g| {
            g.spawn_named("idle", pending::<()>());
            pending::<Done>().await
        }));
        let program = AssertUnwindSafe(|| {
            let _recording = recording;
            let polled = kept.as_mut().now_or_never();
            assert!(polled.is_some(), "on purpose");
        });
        assert!(catch_unwind(program).is_err());
        drop(kept);
    });
    let record = Record::read(&paper.bytes());
    assert_eq!(record.named("kept").outcome(), "unfinished");
    assert_eq!(record.named("idle").outcome(), "unfinished");
}

#[test]
fn a_record_without_its_end_lacks_nothing_else() {
    let json = recorded(|| {
        run(async |g| g.spawn(async { Ok(1) }).await).unwrap();
    });
    let text = String::from_utf8(json).unwrap();
    let cut = text.strip_suffix("\n]\n").unwrap();
    Record::read(format!("{cut}]").as_bytes());
    for line in cut.lines() {
        assert!(
            line == "[" || line == "," || line.starts_with('{'),
            "{line}"
        );
    }
}

#[test]
fn spans_of_others_are_not_in_it() {
    let record = recorded_in_sim(async {
        let crew = group(async |g| {
            tracing::error_span!("mine").in_scope(|| {
                tracing::error!("mine");
                g.spawn_named("inside", checkpoint())
            });
            Done::Ok(())
        });
        crew.await.unwrap();
    });
    assert_eq!(
        record
            .slices
            .iter()
            .filter(|slice| slice.category != "poll")
            .count(),
        2
    );
    assert_eq!(record.marks.len(), 0);
    assert_eq!(record.named("inside").pid, 1);
}

#[test]
fn what_try_spawn_gives_back_has_no_slice() {
    let record = recorded_in_sim(async {
        let crew = Options::new().limit(1).group(async |g| {
            g.spawn(checkpoint());
            drop(g.try_spawn(async { Done::Ok(()) }).unwrap_err());
            Done::Ok(())
        });
        crew.await.unwrap();
    });
    assert_eq!(record.of("child").count(), 1);
}

#[test]
fn an_error_of_writing_is_told_at_the_end_and_disturbs_nobody() {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (timeline, recording) = Timeline::new(Full);
    let subscriber = tracing_subscriber::registry().with(timeline);
    subscriber::with_default(subscriber, || {
        let crew = run(async |g| {
            for _ in 0..1000 {
                g.spawn(checkpoint());
            }
            Done::Ok(())
        });
        assert!(crew.is_ok());
    });
    let error = recording.finish().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}

#[test]
fn nothing_happens_gives_an_empty_record() {
    let record = Record::read(&recorded(|| ()));
    assert_eq!(record.slices.len(), 0);
}
