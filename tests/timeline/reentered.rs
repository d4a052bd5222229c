//! What a timeline writes to, and the log, are anybody's code: they may enter spans too.

use std::{
    future::pending,
    io::{self, Write},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use headcount::{Options, checkpoint, testing::Sim, timeline::Timeline};
use tracing::{Dispatch, Span, debug_span, dispatcher, field::Empty};
use tracing_subscriber::layer::SubscriberExt;

use crate::record::{Paper, Record};

/// A span as the crate makes them, with its end.
fn enter_a_boundary() {
    let span = debug_span!(
        target: "headcount",
        "boundary",
        kind = "group",
        name = "of the writer",
        location = "here",
        outcome = Empty
    );
    span.in_scope(|| ());
    span.record("outcome", "ok");
}

fn dispatch(timeline: Timeline) -> Dispatch {
    Dispatch::new(tracing_subscriber::registry().with(timeline))
}

/// Has more to write than any buffer holds.
async fn crew() {
    let crew = Options::new().name("crew").group(async |g| {
        for number in 0..500 {
            g.spawn_named(format!("child {number}"), checkpoint());
        }
        Ok::<_, ()>(())
    });
    crew.await.unwrap();
}

#[test]
fn a_writer_that_enters_spans_of_the_crate_does_not_record_itself() {
    struct Traced(Paper, Span);
    impl Write for Traced {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.in_scope(enter_a_boundary);
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            enter_a_boundary();
            Ok(())
        }
    }
    let paper = Paper::default();
    let around = Dispatch::new(tracing_subscriber::registry());
    let span = dispatcher::with_default(&around, || debug_span!(target: "headcount", "boundary"));
    let (timeline, recording) = Timeline::new(Traced(paper.clone(), span));
    dispatcher::with_default(&dispatch(timeline), || {
        Sim::new(0).run(crew());
        recording.finish().unwrap();
    });
    let record = Record::read(&paper.bytes());
    assert_eq!(record.of("child").count(), 500);
    let boundaries: Vec<_> = record.of("boundary").map(|slice| &slice.name).collect();
    assert_eq!(boundaries, ["crew"]);
}

#[test]
fn a_span_of_another_target_does_not_wait_for_the_writer() {
    struct Slow(Sender<()>, Receiver<()>);
    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Nobody hears the second time.
            if self.0.send(()).is_ok() {
                self.1.recv().unwrap();
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let ((tell, writes), (go_on, heard)) = (channel(), channel());
    let (timeline, recording) = Timeline::new(Slow(tell, heard));
    let dispatch = dispatch(timeline);
    let there = dispatch.clone();
    let writer = thread::spawn(move || {
        dispatcher::with_default(&there, || Sim::new(0).run(crew()));
        recording.finish().unwrap();
    });
    writes.recv().unwrap();
    drop(writes);
    dispatcher::with_default(&dispatch, || {
        let span = debug_span!("another", field = Empty);
        span.follows_from(debug_span!("one before"));
        span.in_scope(|| span.record("field", 1));
    });
    go_on.send(()).unwrap();
    writer.join().unwrap();
}

#[test]
fn a_log_that_enters_spans_hears_of_a_timeline_that_is_not_complete() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is full"))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    struct Log(Sender<String>);
    impl log::Log for Log {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &log::Record<'_>) {
            enter_a_boundary();
            _ = self.0.send(record.args().to_string());
        }

        fn flush(&self) {}
    }
    let (tell, told) = channel();
    log::set_logger(Box::leak(Box::new(Log(tell)))).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    let (timeline, recording) = Timeline::new(Full);
    dispatcher::with_default(&dispatch(timeline), || {
        Sim::new(0).run(async {
            let left = Options::new().group(async |g| {
                g.spawn_daemon(pending::<()>());
                Ok::<_, ()>(())
            });
            left.await.unwrap();
        });
        drop(recording);
    });
    let line = "the timeline is not complete: the disk is full";
    assert!(told.try_iter().any(|text| text == line));
}
