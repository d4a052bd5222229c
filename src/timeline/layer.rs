//! Turns spans and events into slices and instants.
//!
//! Invariants
//! 1. All happens under one lock, which spans of others do not take, and every time is looked up under it. So a lane is taken after it was
//!    given back, in time as in order, and slices of one lane do not overlap unless one is inside the other.
//! 2. A child's slice ends with its outcome, not with its span: that one may be kept by the spans of what
//!    it has spawned.
//! 3. A slice of a poll stands in the lane of its child if no other poll of it goes on there, on another
//!    thread; else it has a lane of its own.

use std::{
    collections::HashMap,
    fmt,
    io::{self, Write},
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use super::{
    Timeline,
    lanes::Lanes,
    with_lock,
    writer::{Place, Writer},
};

/// What is known of a span that is open.
struct Open {
    fields: Fields,
    /// Its boundary, once that is known; a boundary is its own.
    pid: Option<u64>,
    lane: u32,
    is_boundary: bool,
    since: Duration,
    polls: Vec<Poll>,
}

/// A poll that goes on.
struct Poll {
    thread: ThreadId,
    since: Duration,
    lane: u32,
}

/// The fields of a span or an event. Those that are not there are empty.
#[derive(Default)]
struct Fields {
    kind: String,
    name: String,
    location: String,
    outcome: String,
    reason: String,
    request: String,
    what: String,
}

impl Fields {
    fn set(&mut self, field: &Field, value: String) {
        match field.name() {
            "kind" => self.kind = value,
            "name" => self.name = value,
            "location" => self.location = value,
            "outcome" => self.outcome = value,
            "reason" => self.reason = value,
            "request" => self.request = value,
            "what" => self.what = value,
            _ => {}
        }
    }

    /// The name, or else the place.
    fn title(&self) -> &str {
        match self.name.is_empty() {
            true => &self.location,
            false => &self.name,
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }
}

/// What a timeline knows.
pub(super) struct Recorder {
    start: Instant,
    writer: Writer,
    finished: bool,
    spans: HashMap<u64, Open>,
    boundaries: HashMap<u64, Lanes>,
    /// The number of the last boundary.
    last: u64,
}

impl Recorder {
    pub(super) fn new(out: Box<dyn Write + Send>) -> Self {
        Recorder {
            start: Instant::now(),
            writer: Writer::new(out),
            finished: false,
            spans: HashMap::new(),
            boundaries: HashMap::new(),
            last: 0,
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn begin(&mut self, id: u64, is_boundary: bool, fields: Fields) {
        let since = self.now();
        let pid = is_boundary.then(|| {
            self.last += 1;
            self.boundaries.insert(self.last, Lanes::default());
            let place = Place {
                pid: self.last,
                tid: 0,
            };
            let named = match fields.name.as_str() {
                "" => fields.kind.clone(),
                name => format!("{} {name}", fields.kind),
            };
            let title = format!("{named} ({})", fields.location);
            self.writer.name("process_name", place, &title);
            self.writer.name("thread_name", place, "body");
            self.last
        });
        let open = Open {
            fields,
            pid,
            lane: 0,
            is_boundary,
            since,
            polls: Vec::new(),
        };
        self.spans.insert(id, open);
    }

    /// A child belongs to this boundary. Its slice begins here, where it takes its lane: who had that
    /// before may have given it back since the span was made. What others say later of a span changes
    /// nothing, nor does it make a boundary of a child.
    fn belongs(&mut self, child: u64, boundary: u64) {
        let since = self.now();
        let boundary = self.spans.get(&boundary).filter(|open| open.is_boundary);
        let Some(pid) = boundary.and_then(|open| open.pid) else {
            return;
        };
        let child = self.spans.get_mut(&child);
        let child = child.filter(|child| child.pid.is_none());
        if let (Some(child), Some(lanes)) = (child, self.boundaries.get_mut(&pid)) {
            child.pid = Some(pid);
            child.lane = lanes.take();
            child.since = since;
        }
    }

    fn enter(&mut self, id: u64) {
        let since = self.now();
        let Some(open) = self.spans.get_mut(&id) else {
            return;
        };
        let thread = thread::current().id();
        let elsewhere = open.polls.iter().any(|poll| poll.thread != thread);
        let lanes = open.pid.and_then(|pid| self.boundaries.get_mut(&pid));
        let lane = match lanes {
            Some(lanes) if elsewhere => lanes.take(),
            _ => open.lane,
        };
        open.polls.push(Poll {
            thread,
            since,
            lane,
        });
    }

    fn exit(&mut self, id: u64) {
        let now = self.now();
        let Some(open) = self.spans.get_mut(&id) else {
            return;
        };
        let thread = thread::current().id();
        let innermost = open.polls.iter().rposition(|poll| poll.thread == thread);
        let Some(poll) = innermost.map(|place| open.polls.remove(place)) else {
            return;
        };
        let Some(pid) = open.pid else {
            return;
        };
        let place = Place {
            pid,
            tid: poll.lane,
        };
        let thread = thread::current();
        let arguments = [
            ("of", open.fields.title()),
            ("thread", thread.name().unwrap_or("unnamed")),
        ];
        let name = ("poll", "poll");
        self.writer
            .slice(place, name, (poll.since, now), &arguments);
        if poll.lane != open.lane {
            self.give_back(pid, poll.lane);
        }
    }

    /// A child or a boundary has ended, or the timeline has.
    fn end(&mut self, id: u64) {
        let now = self.now();
        let Some(open) = self.spans.remove(&id) else {
            return;
        };
        let Some(pid) = open.pid else {
            return;
        };
        let fields = &open.fields;
        // One that `try_spawn` gave back was no child.
        if fields.outcome != "refused" {
            let category = match open.is_boundary {
                true => "boundary",
                false => "child",
            };
            let outcome = match fields.outcome.as_str() {
                "" => "unfinished",
                outcome => outcome,
            };
            let arguments = [
                ("kind", fields.kind.as_str()),
                ("location", &fields.location),
                ("outcome", outcome),
                ("reason", &fields.reason),
            ];
            let place = Place {
                pid,
                tid: open.lane,
            };
            let name = (category, fields.title());
            self.writer
                .slice(place, name, (open.since, now), &arguments);
        }
        // The end of such a poll finds nothing any more.
        for poll in open.polls.iter().filter(|poll| poll.lane != open.lane) {
            self.give_back(pid, poll.lane);
        }
        if open.is_boundary {
            if let Some(lanes) = self.boundaries.get_mut(&pid) {
                lanes.close();
            }
            self.forget_if_done(pid);
        } else {
            self.give_back(pid, open.lane);
        }
    }

    fn give_back(&mut self, pid: u64, lane: u32) {
        if let Some(lanes) = self.boundaries.get_mut(&pid) {
            lanes.give_back(lane);
        }
        self.forget_if_done(pid);
    }

    fn forget_if_done(&mut self, pid: u64) {
        if self.boundaries.get(&pid).is_some_and(Lanes::are_done) {
            self.boundaries.remove(&pid);
        }
    }

    fn request(&mut self, span: u64, fields: &Fields) {
        let at = self.now();
        let Some(pid) = self.spans.get(&span).and_then(|open| open.pid) else {
            return;
        };
        let name = match fields.request.as_str() {
            "Deadline" => "deadline",
            "Stop" => "stop",
            _ => "cancel",
        };
        let arguments = [
            ("request", fields.request.as_str()),
            ("what", &fields.what),
            ("location", &fields.location),
            ("reason", &fields.reason),
        ];
        self.writer.instant(pid, name, at, &arguments);
    }

    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.finished = true;
        let now = self.now();
        let mut open: Vec<_> = self.spans.keys().copied().collect();
        open.sort_unstable();
        for id in open {
            self.cut_polls(id, now);
            self.end(id);
        }
        self.writer.finish()
    }

    /// Writes the polls that go on while the timeline ends, the innermost first.
    fn cut_polls(&mut self, id: u64, now: Duration) {
        let Some(Open {
            polls,
            pid: Some(pid),
            fields,
            ..
        }) = self.spans.get_mut(&id)
        else {
            return;
        };
        while let Some(poll) = polls.pop() {
            let place = Place {
                pid: *pid,
                tid: poll.lane,
            };
            let arguments = [("of", fields.title()), ("outcome", "unfinished")];
            let name = ("poll", "poll");
            self.writer
                .slice(place, name, (poll.since, now), &arguments);
        }
    }
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target() == "headcount"
}

impl Timeline {
    fn change(&self, f: impl FnOnce(&mut Recorder)) {
        with_lock(&self.0, |recorder| {
            if !recorder.finished {
                f(recorder);
            }
        });
    }
}

/// Is this span ours? Asked before the lock, which is not for spans of others.
fn has_ours<S>(context: &Context<'_, S>, id: &Id) -> bool
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    context.metadata(id).is_some_and(is_ours)
}

impl<S> Layer<S> for Timeline
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        if !is_ours(attributes.metadata()) {
            return;
        }
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let is_boundary = attributes.metadata().name() == "boundary";
        self.change(|recorder| recorder.begin(id.into_u64(), is_boundary, fields));
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        if has_ours(&context, id) {
            self.change(|recorder| recorder.belongs(id.into_u64(), follows.into_u64()));
        }
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        if !has_ours(&context, id) {
            return;
        }
        self.change(|recorder| {
            let Some(open) = recorder.spans.get_mut(&id.into_u64()) else {
                return;
            };
            record.record(&mut open.fields);
            if !open.fields.outcome.is_empty() {
                recorder.end(id.into_u64());
            }
        });
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let Some(span) = event.parent().filter(|_| is_ours(event.metadata())) else {
            return;
        };
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.change(|recorder| recorder.request(span.into_u64(), &fields));
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if has_ours(&context, id) {
            self.change(|recorder| recorder.enter(id.into_u64()));
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        if has_ours(&context, id) {
            self.change(|recorder| recorder.exit(id.into_u64()));
        }
    }
}
