//! A subscriber that keeps all it is told, and checks what holds for every trace.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, ThreadId},
};

use headcount::testing::Sim;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber,
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

#[derive(Clone, Debug, Default)]
pub struct Fields(pub BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

#[derive(Clone, Debug)]
pub struct Seen {
    pub span: &'static str,
    pub fields: Fields,
    /// Their places in the list.
    pub parent: Option<usize>,
    pub follows: Vec<usize>,
    pub enters: usize,
    pub threads: HashSet<ThreadId>,
    closed: bool,
}

impl Seen {
    pub fn get(&self, field: &str) -> &str {
        self.fields.0.get(field).map_or("", String::as_str)
    }
}

#[derive(Debug)]
pub struct Told {
    pub span: Option<usize>,
    pub fields: Fields,
}

#[derive(Default)]
pub struct Trace {
    pub spans: Vec<Seen>,
    pub events: Vec<Told>,
    places: HashMap<u64, usize>,
    inside: HashMap<ThreadId, Vec<usize>>,
}

impl Trace {
    fn place(&self, id: &Id) -> usize {
        self.places[&id.into_u64()]
    }

    /// The span with this name, or of this kind if it has none.
    #[track_caller]
    pub fn find(&self, name: &str) -> usize {
        let is_called = |seen: &Seen| match seen.get("name") {
            "" => seen.get("kind") == name || seen.span == name,
            own => own == name,
        };
        let found: Vec<_> = (0..self.spans.len())
            .filter(|place| is_called(&self.spans[*place]))
            .collect();
        assert_eq!(found.len(), 1, "{name} in {:#?}", self.spans);
        found[0]
    }

    #[track_caller]
    pub fn span(&self, name: &str) -> &Seen {
        &self.spans[self.find(name)]
    }

    #[track_caller]
    pub fn parent(&self, name: &str) -> Option<usize> {
        self.span(name).parent
    }

    #[track_caller]
    pub fn outcome(&self, name: &str) -> (&str, &str) {
        let seen = self.span(name);
        (seen.get("outcome"), seen.get("reason"))
    }

    /// The fields of the events in a span.
    #[track_caller]
    pub fn told(&self, name: &str, field: &str) -> Vec<String> {
        let place = Some(self.find(name));
        let told = self.events.iter().filter(|told| told.span == place);
        told.map(|told| told.fields.0.get(field).cloned().unwrap_or_default())
            .collect()
    }

    /// What holds for every trace of a program that has come to its end.
    #[track_caller]
    fn check(&self) {
        for inside in self.inside.values() {
            assert!(inside.is_empty(), "a span was entered and not left");
        }
        // A registry closes what was left on a thread only if that thread knows it, and those of the
        // runtime know no subscriber that one test has set for itself.
        let here = HashSet::from([thread::current().id()]);
        let all_here = self.spans.iter().all(|seen| seen.threads.is_subset(&here));
        for seen in &self.spans {
            assert!(seen.closed || !all_here, "not closed: {seen:#?}");
            if ["child", "boundary"].contains(&seen.span) {
                assert_ne!(seen.get("outcome"), "", "{seen:#?}");
            }
        }
    }
}

#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<Trace>>);

impl Recorder {
    fn trace(&self) -> MutexGuard<'_, Trace> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let parent = context.span(id).unwrap().parent().map(|span| span.id());
        let mut trace = self.trace();
        let place = trace.spans.len();
        let parent = parent.map(|parent| trace.place(&parent));
        trace.places.insert(id.into_u64(), place);
        trace.spans.push(Seen {
            span: attributes.metadata().name(),
            fields,
            parent,
            follows: Vec::new(),
            enters: 0,
            threads: HashSet::new(),
            closed: false,
        });
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, _: Context<'_, S>) {
        let mut trace = self.trace();
        let place = trace.place(id);
        let outcome = trace.spans[place].get("outcome").to_owned();
        assert_eq!(outcome, "", "something is recorded after the end");
        record.record(&mut trace.spans[place].fields);
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, _: Context<'_, S>) {
        let mut trace = self.trace();
        let (place, follows) = (trace.place(id), trace.place(follows));
        trace.spans[place].follows.push(follows);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let span = context.event_span(event).map(|span| span.id());
        let mut trace = self.trace();
        let span = span.map(|span| trace.place(&span));
        trace.events.push(Told { span, fields });
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        let mut trace = self.trace();
        let place = trace.place(id);
        let seen = &mut trace.spans[place];
        assert_eq!(seen.get("outcome"), "", "entered after its end");
        let thread = thread::current().id();
        seen.enters += 1;
        seen.threads.insert(thread);
        trace.inside.entry(thread).or_default().push(place);
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        let mut trace = self.trace();
        let place = trace.place(id);
        let thread = thread::current().id();
        let innermost = trace.inside.get_mut(&thread).and_then(Vec::pop);
        assert_eq!(innermost, Some(place), "left out of turn");
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let mut trace = self.trace();
        let place = trace.places.remove(&id.into_u64()).unwrap();
        trace.spans[place].closed = true;
    }
}

/// What is traced of a program that runs on this thread.
#[track_caller]
pub fn trace_here(program: impl FnOnce()) -> Trace {
    let recorder = Recorder::default();
    let subscriber = tracing_subscriber::registry().with(recorder.clone());
    subscriber::with_default(subscriber, program);
    let trace = std::mem::take(&mut *recorder.trace());
    trace.check();
    trace
}

/// What is traced of a program in the simulator, in one of many schedules.
#[track_caller]
pub fn trace<F: Future<Output = ()> + Send + 'static>(program: impl Fn() -> F) -> Trace {
    let mut last = None;
    for seed in 0..20 {
        last = Some(trace_here(|| Sim::new(seed).run(program())));
    }
    last.unwrap()
}
